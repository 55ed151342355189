"""Writes models with the structure of Qwen3-0.6B and LFM2-350M and seeded random weights, for `npm run bench`.

    python random_decoders.py bench-qwen3-0.6b|bench-lfm2-350m --output .cache/models/NAME

The graphs have the nodes that onnxruntime-genai's model builder writes for these models, with all their layers. So a step
costs the host as much as with the real model. The matrices are smaller: hidden size 512 instead of 1,024, and a
vocabulary of 32,768. Weights, lookup and tokenizer are as in random_llama.py.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto

from llama_config import LlamaConfig
from llama_onnx import MICROSOFT, OnnxGraph, add_positions, add_rotary_caches
from random_llama import ExternalData, RandomWeight, small_files, write_folder

CONVOLUTION_LENGTH = 3
"""`conv_L_cache` of LFM2: the tokens that a convolution reads. The state has one less."""

QWEN3 = LlamaConfig(
    hidden_size=512,
    num_hidden_layers=28,
    num_attention_heads=16,
    num_key_value_heads=8,
    head_dim=64,
    intermediate_size=1536,
    vocab_size=32_768,
    max_position_embeddings=8192,
    rope_theta=1_000_000.0,
    rms_norm_eps=1e-6,
)
LFM2 = replace(QWEN3, num_hidden_layers=16, head_dim=32, intermediate_size=2304, rms_norm_eps=1e-5)
LFM2_ATTENTION_LAYERS = (2, 5, 8, 10, 12, 14)


class Builder:
    def __init__(
        self, config: LlamaConfig, attention_layers: range | tuple[int, ...], data: ExternalData
    ) -> None:
        self.config = config
        self.attention_layers = attention_layers
        self.graph = OnnxGraph()
        self.data = data

    def product(self, name: str, rows: int, x: str, columns: int) -> str:
        weight = RandomWeight(self.data, "q4", rows, columns)
        return weight.add_product(self.graph, f"{name}.weight", x, f"/{name}/output")

    def constant(self, values: list[int]) -> str:
        return self.graph.constant(f"constants.int64.{values}", np.array(values, np.int64))

    def norm(self, name: str, x: str, size: int) -> str:
        weight = self.graph.constant(f"{name}.weight", np.ones(size, np.float32))
        epsilon = self.config.rms_norm_eps
        attributes = {"axis": -1, "epsilon": epsilon, "stash_type": 1}
        return self.graph.node("SimplifiedLayerNormalization", [x, weight], [f"/{name}/output"], **attributes)

    def norm_sum(self, name: str, skip: str, x: str, is_last: bool = False) -> tuple[str, str]:
        """Returns the norm of skip + x, and the sum."""
        weight = self.graph.constant(f"{name}.weight", np.ones(self.config.hidden_size, np.float32))
        outputs = [f"/{name}/output"] if is_last else [f"/{name}/output", "", "", f"/{name}/sum"]
        epsilon = self.config.rms_norm_eps
        self.graph.node("SkipSimplifiedLayerNormalization", [skip, x, weight], outputs, MICROSOFT, epsilon=epsilon)
        return outputs[0], outputs[-1]

    def attention(self, layer: int, x: str, positions: list[str]) -> str:
        config, graph, name = self.config, self.graph, f"layers.{layer}.attn"
        queries = config.num_attention_heads * config.head_dim
        keys = config.num_key_value_heads * config.head_dim
        joined = self.product(f"{name}.qkv_proj", queries + 2 * keys, x, config.hidden_size)
        parts = [f"/{name}.split/{part}" for part in "qkv"]
        graph.node("Split", [joined, self.constant([queries, keys, keys])], parts, axis=-1)
        normed = []
        for part, size in (("q", queries), ("k", keys)):
            source = f"/{name}.split/{part}"
            heads_shape, joined_shape = self.constant([0, -1, config.head_dim]), self.constant([0, -1, size])
            heads = graph.node("Reshape", [source, heads_shape], [f"/{name}.{part}_heads/output"])
            result = self.norm(f"{name}.{part}_norm", heads, config.head_dim)
            normed.append(graph.node("Reshape", [result, joined_shape], [f"/{name}.{part}_joined/output"]))
        past = [f"past_key_values.{layer}.{part}" for part in ("key", "value")]
        present = [f"present.{layer}.{part}" for part in ("key", "value")]
        for past_name, present_name in zip(past, present, strict=True):
            shape = ["batch_size", config.num_key_value_heads, "past_sequence_length", config.head_dim]
            graph.input(past_name, TensorProto.FLOAT, shape)
            shape[2] = "total_sequence_length"
            graph.output(present_name, TensorProto.FLOAT, shape)
        attended = graph.node(
            "GroupQueryAttention",
            [*normed, parts[2], *past, *positions],
            [f"/{name}/output", *present],
            MICROSOFT,
            num_heads=config.num_attention_heads,
            kv_num_heads=config.num_key_value_heads,
            scale=config.head_dim**-0.5,
            do_rotary=1,
            rotary_interleaved=0,
        )
        return self.product(f"{name}.o_proj", config.hidden_size, attended, queries)

    def convolution(self, layer: int, x: str) -> str:
        graph, size, name = self.graph, self.config.hidden_size, f"layers.{layer}.conv"
        projected = self.product(f"{name}.in_proj", 3 * size, x, size)
        turned = graph.node("Transpose", [projected], [f"/{name}.turned/output"], perm=[0, 2, 1])
        gate, after, value = parts = [f"/{name}.split/{part}" for part in ("gate", "after", "value")]
        graph.node("Split", [turned, self.constant([size, size, size])], parts, axis=1)
        gated = graph.node("Mul", [gate, value], [f"/{name}.gated/output"])
        shape = (size, 1, CONVOLUTION_LENGTH)
        weight = graph.initializer(self.data.add(f"{name}.weight", TensorProto.FLOAT, shape, 0.85))
        state = graph.input(f"past_conv.{layer}", TensorProto.FLOAT, ["batch_size", size, CONVOLUTION_LENGTH - 1])
        outputs = [f"/{name}.convolved/output", f"present_conv.{layer}"]
        graph.output(outputs[1], TensorProto.FLOAT, ["batch_size", size, CONVOLUTION_LENGTH - 1])
        attributes = {"ndim": 1, "activation": "none"}
        convolved = graph.node("CausalConvWithState", [gated, weight, "", state], outputs, MICROSOFT, **attributes)
        result = graph.node("Mul", [after, convolved], [f"/{name}.result/output"])
        turned = graph.node("Transpose", [result], [f"/{name}.joined/output"], perm=[0, 2, 1])
        return self.product(f"{name}.out_proj", size, turned, size)

    def feed_forward(self, layer: int, x: str) -> str:
        graph, name = self.graph, f"layers.{layer}.mlp"
        hidden, inner = self.config.hidden_size, self.config.intermediate_size
        gate = self.product(f"{name}.gate_proj", inner, x, hidden)
        up = self.product(f"{name}.up_proj", inner, x, hidden)
        sigmoid = graph.node("Sigmoid", [gate], [f"/{name}.sigmoid/output"])
        activated = graph.node("Mul", [gate, sigmoid], [f"/{name}.activated/output"])
        product = graph.node("Mul", [activated, up], [f"/{name}.product/output"])
        return self.product(f"{name}.down_proj", hidden, product, inner)

    def build(self) -> onnx.ModelProto:
        config, graph = self.config, self.graph
        ids = graph.input("input_ids", TensorProto.INT64, ["batch_size", "sequence_length"])
        mask = graph.input("attention_mask", TensorProto.INT64, ["batch_size", "total_sequence_length"])
        positions = add_positions(graph, mask) + add_rotary_caches(graph, config)
        embedding = RandomWeight(self.data, "q4", config.vocab_size, config.hidden_size)
        total = embedding.add_lookup(graph, "embed_tokens.weight", ids, "/embed_tokens/output")
        x = self.norm("layers.0.input_norm", total, config.hidden_size)
        for layer in range(config.num_hidden_layers):
            is_attention = layer in self.attention_layers
            mixed = self.attention(layer, x, positions) if is_attention else self.convolution(layer, x)
            x, total = self.norm_sum(f"layers.{layer}.ffn_norm", total, mixed)
            is_last = layer + 1 == config.num_hidden_layers
            after = "final_norm" if is_last else f"layers.{layer + 1}.input_norm"
            x, total = self.norm_sum(after, total, self.feed_forward(layer, x), is_last)
        embedding.add_product(graph, "embed_tokens.weight", x, "logits")
        graph.output("logits", TensorProto.FLOAT, ["batch_size", "sequence_length", config.vocab_size])
        return graph.model()


def model_files(name: str, data: ExternalData) -> tuple[onnx.ModelProto, dict[str, dict[str, object]]]:
    """Returns the graph and the JSON files by name."""
    if name == "bench-qwen3-0.6b":
        model = Builder(QWEN3, range(QWEN3.num_hidden_layers), data).build()
        files = small_files(QWEN3)
        files["config.json"] |= {"architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3"}
        return model, files
    model = Builder(LFM2, LFM2_ATTENTION_LAYERS, data).build()
    files = small_files(LFM2)
    layers = range(LFM2.num_hidden_layers)
    files["config.json"] |= {
        "architectures": ["Lfm2ForCausalLM"],
        "model_type": "lfm2",
        "conv_L_cache": CONVOLUTION_LENGTH,
        "layer_types": ["full_attention" if layer in LFM2_ATTENTION_LAYERS else "conv" for layer in layers],
    }
    return model, files


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=["bench-qwen3-0.6b", "bench-lfm2-350m"])
    parser.add_argument("--output", type=Path, required=True, help="output folder")
    arguments = parser.parse_args()
    graph = arguments.output / "onnx/model_q4.onnx"
    data = ExternalData(f"{graph.name}_data")
    model, files = model_files(arguments.name, data)
    write_folder(arguments.output, graph, model, data, files)


if __name__ == "__main__":
    main()
