"""Builds the ONNX graph of a Llama model, with the inputs and outputs of the onnx-community exports on Hugging Face.

Inputs   input_ids int64 [batch_size, sequence_length]
         attention_mask int64 [batch_size, total_sequence_length]
         past_key_values.N.key/value [batch_size, kv_heads, past_sequence_length, head_dim]
Outputs  logits [batch_size, sequence_length, vocab_size]
         present.N.key/value [batch_size, kv_heads, total_sequence_length, head_dim]

Logits and caches are f32, or f16 if `build_llama` is called with `float_type=FLOAT16`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from llama_config import EMBEDDING, FINAL_NORM, LlamaConfig, layer_name

OPSET = 18
IR_VERSION = 9
MICROSOFT = "com.microsoft"


class OnnxGraph:
    """Builds a graph. Keeps its parts in the order of the calls, so that the same calls produce the same bytes."""

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._constants: dict[str, onnx.TensorProto] = {}
        self._inputs: list[onnx.ValueInfoProto] = []
        self._outputs: list[onnx.ValueInfoProto] = []
        self._results: set[str] = set()

    def input(self, name: str, element_type: int, shape: Sequence[int | str]) -> str:
        self._inputs.append(helper.make_tensor_value_info(name, element_type, shape))
        return name

    def output(self, name: str, element_type: int, shape: Sequence[int | str]) -> None:
        self._outputs.append(helper.make_tensor_value_info(name, element_type, shape))

    def constant(self, name: str, value: np.ndarray) -> str:
        """Adds an initializer unless it exists: a tied weight is used twice but stored once. Returns the name."""
        if name not in self._constants:
            self._constants[name] = numpy_helper.from_array(np.ascontiguousarray(value), name)
        return name

    def initializer(self, tensor: onnx.TensorProto) -> str:
        """Adds a tensor that the caller has made, for example one without its data. Returns its name."""
        self._constants[tensor.name] = tensor
        return tensor.name

    def node(self, op: str, inputs: Sequence[str], outputs: Sequence[str], domain: str = "", **attributes: Any) -> str:
        """Adds a node unless its first output exists. Returns the name of its first output."""
        if outputs[0] not in self._results:
            self._results.update(outputs)
            name = f"{outputs[0].removesuffix('/output')}/{op}"
            self._nodes.append(helper.make_node(op, inputs, outputs, name=name, domain=domain, **attributes))
        return outputs[0]

    def model(self) -> onnx.ModelProto:
        graph = helper.make_graph(
            self._nodes, "main_graph", self._inputs, self._outputs, list(self._constants.values())
        )
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(MICROSOFT, 1)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="rivulet")


class Weight(Protocol):
    """A matrix [outputs, inputs] that can add itself to a graph."""

    def add_product(self, graph: OnnxGraph, name: str, x: str, result: str) -> str:
        """Adds result [..., outputs] = x [..., inputs] times the transposed matrix. Returns `result`."""


class EmbeddingWeight(Weight, Protocol):
    """A matrix [vocab_size, hidden_size] that also supports looking up rows."""

    def add_lookup(self, graph: OnnxGraph, name: str, ids: str, result: str) -> str:
        """Adds result [..., inputs] = the rows with the indices ids [...]. Returns `result`."""


class FloatWeight:
    """f32 values. The product uses them as [inputs, outputs], the order of MatMul."""

    def __init__(self, values: np.ndarray) -> None:
        self._values = values.astype(np.float32)

    def add_product(self, graph: OnnxGraph, name: str, x: str, result: str) -> str:
        return graph.node("MatMul", [x, graph.constant(f"{name}.transposed", self._values.T)], [result])

    def add_lookup(self, graph: OnnxGraph, name: str, ids: str, result: str) -> str:
        return graph.node("Gather", [graph.constant(name, self._values), ids], [result], axis=0)


def build_llama(
    config: LlamaConfig,
    embedding: EmbeddingWeight,
    weights: Mapping[str, Weight],
    norms: Mapping[str, np.ndarray],
    float_type: int = TensorProto.FLOAT,
) -> onnx.ModelProto:
    """Builds the complete model. The embedding is also the output matrix (tied).

    The keys of `weights` (matrices of the layers) and `norms` ([hidden_size]) are Hugging Face tensor names. The weights
    and norms must have the type `float_type`, the type of all activations.
    """
    graph = OnnxGraph()
    ids = graph.input("input_ids", TensorProto.INT64, ["batch_size", "sequence_length"])
    mask = graph.input("attention_mask", TensorProto.INT64, ["batch_size", "total_sequence_length"])
    positions = add_positions(graph, mask) + add_rotary_caches(graph, config, float_type)

    def normalize_with_skip(skip: str, x: str, weight: str, result: str, total: str = "") -> None:
        """Adds total = skip + x, and result = the RMS norm of total."""
        outputs = [result, "", "", total] if total else [result]
        inputs = [skip, x, graph.constant(weight, norms[weight])]
        graph.node("SkipSimplifiedLayerNormalization", inputs, outputs, MICROSOFT, epsilon=config.rms_norm_eps)

    residual = embedding.add_lookup(graph, EMBEDDING, ids, "/model/embed_tokens/output")
    first_norm = layer_name(0, "input_layernorm")
    norm_inputs = [residual, graph.constant(first_norm, norms[first_norm])]
    normed = "/model/layers.0/input_layernorm/output"
    graph.node(
        "SimplifiedLayerNormalization", norm_inputs, [normed], axis=-1, epsilon=config.rms_norm_eps, stash_type=1
    )

    for layer in range(config.num_hidden_layers):
        prefix = f"/model/layers.{layer}"
        attended = _add_attention(graph, config, weights, layer, normed, positions, float_type)
        middle = f"{prefix}/post_attention_layernorm"
        post_norm = layer_name(layer, "post_attention_layernorm")
        normalize_with_skip(residual, attended, post_norm, f"{middle}/output", f"{middle}/residual")
        fed = _add_feed_forward(graph, weights, layer, f"{middle}/output")
        if layer + 1 < config.num_hidden_layers:
            after = f"/model/layers.{layer + 1}/input_layernorm"
            residual, normed = f"{after}/residual", f"{after}/output"
            next_norm = layer_name(layer + 1, "input_layernorm")
            normalize_with_skip(f"{middle}/residual", fed, next_norm, normed, residual)
        else:
            normed = "/model/norm/output"
            normalize_with_skip(f"{middle}/residual", fed, FINAL_NORM, normed)

    embedding.add_product(graph, EMBEDDING, normed, "logits")
    graph.output("logits", float_type, ["batch_size", "sequence_length", config.vocab_size])
    for layer in range(config.num_hidden_layers):
        for part in ("key", "value"):
            shape: list[int | str] = [
                "batch_size",
                config.num_key_value_heads,
                "total_sequence_length",
                config.head_dim,
            ]
            graph.output(f"present.{layer}.{part}", float_type, shape)
    return graph.model()


def add_positions(graph: OnnxGraph, mask: str) -> list[str]:
    """Derives from the mask: seqlens_k int32 [batch_size, 1] (last valid position), total_sequence_length int32 []."""
    prefix = "/model/attn_mask_reformat"
    one = graph.constant("constants.int64.1d.1", np.array([1], np.int64))
    axis = graph.constant("constants.int64.0d.1", np.array(1, np.int64))
    total = graph.node("ReduceSum", [mask, one], [f"{prefix}/sum/output"], keepdims=1)
    last = graph.node("Sub", [total, one], [f"{prefix}/last/output"])
    seqlens = graph.node("Cast", [last], [f"{prefix}/seqlens_k/output"], to=TensorProto.INT32)
    shape = graph.node("Shape", [mask], [f"{prefix}/shape/output"])
    length = graph.node("Gather", [shape, axis], [f"{prefix}/length/output"], axis=0)
    total_length = graph.node("Cast", [length], [f"{prefix}/total_sequence_length/output"], to=TensorProto.INT32)
    return [seqlens, total_length]


def add_rotary_caches(graph: OnnxGraph, config: LlamaConfig, float_type: int = TensorProto.FLOAT) -> list[str]:
    """Adds the cosines and sines of the rotary angles, both [max_position_embeddings, head_dim / 2]."""
    exponents = np.arange(0, config.head_dim, 2) / config.head_dim
    angles = np.outer(np.arange(config.max_position_embeddings), config.rope_theta**-exponents)
    kind = helper.tensor_dtype_to_np_dtype(float_type)
    cos = graph.constant("cos_cache", np.cos(angles).astype(kind))
    sin = graph.constant("sin_cache", np.sin(angles).astype(kind))
    return [cos, sin]


def _add_attention(
    graph: OnnxGraph,
    config: LlamaConfig,
    weights: Mapping[str, Weight],
    layer: int,
    x: str,
    positions: list[str],
    float_type: int,
) -> str:
    prefix = f"/model/layers.{layer}/attn"

    def project(part: str, source: str) -> str:
        name = layer_name(layer, f"self_attn.{part}")
        return weights[name].add_product(graph, name, source, f"{prefix}/{part}/output")

    past = [f"past_key_values.{layer}.{part}" for part in ("key", "value")]
    for name in past:
        shape: list[int | str] = ["batch_size", config.num_key_value_heads, "past_sequence_length", config.head_dim]
        graph.input(name, float_type, shape)
    attended = graph.node(
        "GroupQueryAttention",
        [project("q_proj", x), project("k_proj", x), project("v_proj", x), *past, *positions],
        [f"{prefix}/output", f"present.{layer}.key", f"present.{layer}.value"],
        MICROSOFT,
        num_heads=config.num_attention_heads,
        kv_num_heads=config.num_key_value_heads,
        scale=config.head_dim**-0.5,
        do_rotary=1,
        rotary_interleaved=0,
    )
    return project("o_proj", attended)


def _add_feed_forward(graph: OnnxGraph, weights: Mapping[str, Weight], layer: int, x: str) -> str:
    """Adds SwiGLU: down(silu(gate(x)) * up(x))."""
    prefix = f"/model/layers.{layer}/mlp"

    def project(part: str, source: str) -> str:
        name = layer_name(layer, f"mlp.{part}")
        return weights[name].add_product(graph, name, source, f"{prefix}/{part}/output")

    gate = project("gate_proj", x)
    sigmoid = graph.node("Sigmoid", [gate], [f"{prefix}/sigmoid/output"])
    silu = graph.node("Mul", [gate, sigmoid], [f"{prefix}/silu/output"])
    gated = graph.node("Mul", [silu, project("up_proj", x)], [f"{prefix}/gated/output"])
    return project("down_proj", gated)
