"""Llama weights in GGUF files: tensor names, row order, and block formats.

GGUF stores the rows of q_proj and k_proj with the two halves of each head interleaved. All other code in this folder
uses the Hugging Face order (rotate-half). Each row is quantized separately, so reordering rows does not change their
values.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from gguf import GGMLQuantizationType, GGUFReader
from gguf.quants import dequantize

from llama_config import EMBEDDING, FINAL_NORM, LlamaConfig, layer_name

BLOCK_SIZE = 32

LAYER_PARTS = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}


@dataclass(frozen=True)
class GgufTensor:
    """A matrix of blocks, uint8 [rows, bytes per row], or a norm, f32 [hidden_size]."""

    kind: GGMLQuantizationType
    data: np.ndarray

    def dequantize(self) -> np.ndarray:
        """Returns f32 [rows, columns] for a matrix and f32 [hidden_size] for a norm, computed by the gguf package."""
        return dequantize(self.data, self.kind).astype(np.float32)


@dataclass(frozen=True)
class GgufModel:
    """Metadata by GGUF key, and tensors by Hugging Face name with their rows in Hugging Face order."""

    metadata: dict[str, Any]
    config: LlamaConfig
    tensors: dict[str, GgufTensor]

    def dequantize(self) -> dict[str, np.ndarray]:
        """Returns all weights as f32, by Hugging Face name."""
        return {name: tensor.dequantize() for name, tensor in self.tensors.items()}


def gguf_names(config: LlamaConfig) -> dict[str, str]:
    """Maps GGUF tensor names to Hugging Face tensor names, in the order in which llama.cpp writes the tensors."""
    names = {"token_embd.weight": EMBEDDING}
    for layer in range(config.num_hidden_layers):
        for part, target in LAYER_PARTS.items():
            names[f"blk.{layer}.{part}.weight"] = layer_name(layer, target)
    return names | {"output_norm.weight": FINAL_NORM}


def row_order(config: LlamaConfig, name: str) -> np.ndarray | None:
    """Returns the Hugging Face row index of each GGUF row of q_proj or k_proj. Returns None if the orders are equal."""
    if name.endswith("q_proj.weight"):
        heads = config.num_attention_heads
    elif name.endswith("k_proj.weight"):
        heads = config.num_key_value_heads
    else:
        return None
    rows = np.arange(heads * config.head_dim).reshape(heads, 2, config.head_dim // 2)
    return rows.transpose(0, 2, 1).reshape(-1)


def read_gguf(path: Path) -> GgufModel:
    """Reads a Llama GGUF file. Its output matrix must be tied to the embedding. Raises ValueError for other models."""
    reader = GGUFReader(path)
    metadata = {key: field.contents() for key, field in reader.fields.items()}
    config = _config_from(metadata)
    names = gguf_names(config)
    unknown = [tensor.name for tensor in reader.tensors if tensor.name not in names]
    if unknown:
        supported = "Only Llama models with tied embeddings and without biases are supported."
        raise ValueError(f"Unexpected tensors: {unknown}. {supported}")
    tensors = {}
    for tensor in reader.tensors:
        name = names[tensor.name]
        data = np.array(tensor.data)
        order = row_order(config, name)
        tensors[name] = GgufTensor(tensor.tensor_type, data if order is None else data[np.argsort(order)])
    return GgufModel(metadata, config, tensors)


def _config_from(metadata: dict[str, Any]) -> LlamaConfig:
    if metadata["general.architecture"] != "llama":
        raise ValueError(f"The architecture is {metadata['general.architecture']!r}. Only 'llama' is supported.")
    heads = metadata["llama.attention.head_count"]
    return LlamaConfig(
        hidden_size=metadata["llama.embedding_length"],
        num_hidden_layers=metadata["llama.block_count"],
        num_attention_heads=heads,
        num_key_value_heads=metadata["llama.attention.head_count_kv"],
        head_dim=metadata["llama.embedding_length"] // heads,
        intermediate_size=metadata["llama.feed_forward_length"],
        vocab_size=len(metadata["tokenizer.ggml.tokens"]),
        max_position_embeddings=metadata["llama.context_length"],
        rope_theta=metadata["llama.rope.freq_base"],
        # GGUF stores f32. Parsing its shortest decimal form gives 1e-05 instead of 9.999999747378752e-06.
        rms_norm_eps=float(np.format_float_positional(np.float32(metadata["llama.attention.layer_norm_rms_epsilon"]))),
    )


def split_q8_0(data: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Splits Q8_0 rows into int8 [rows, blocks, 32] and scales f32 [rows, blocks, 1]: weight = scale * int8."""
    blocks = data.reshape(len(data), -1, 2 + BLOCK_SIZE)
    return blocks[..., 2:].view(np.int8), _halves(blocks[..., :2])


def split_q4_1(data: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Splits Q4_1 rows into levels 0–15, uint8 [rows, blocks, 32], and scales and minima, both f32 [rows, blocks, 1].

    weight = scale * level + minimum
    """
    blocks = data.reshape(len(data), -1, 4 + BLOCK_SIZE // 2)
    packed = blocks[..., 4:]
    levels = np.concatenate([packed & 15, packed >> 4], axis=-1)
    return levels, _halves(blocks[..., :2]), _halves(blocks[..., 2:4])


def _halves(data: np.ndarray) -> np.ndarray:
    """Converts f16 values, uint8 [..., 2], to f32 [..., 1]."""
    return np.ascontiguousarray(data).view(np.float16).astype(np.float32)
