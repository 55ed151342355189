"""A simple Llama forward pass in numpy: the reference for verifying the exports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from llama_config import EMBEDDING, FINAL_NORM, LlamaConfig, layer_name

Layer = tuple[np.ndarray, np.ndarray]


class LlamaNumpy:
    """Computes in f32 and keeps a KV cache: each call to `forward` continues the sequence.

    `weights` contains f32 arrays by Hugging Face name: matrices [outputs, inputs] and norms [hidden_size].
    """

    def __init__(self, config: LlamaConfig, weights: Mapping[str, np.ndarray]) -> None:
        self._config = config
        self._weights = weights
        empty = np.zeros((config.num_key_value_heads, 0, config.head_dim), np.float32)
        self._cache: list[Layer] = [(empty, empty)] * config.num_hidden_layers

    def forward(self, ids: Sequence[int]) -> np.ndarray:
        """Appends tokens to the sequence and returns their logits, f32 [len(ids), vocab_size]."""
        x = self._weights[EMBEDDING][np.asarray(ids)]
        for layer in range(self._config.num_hidden_layers):
            x = x + self._attend(layer, self._normalize(x, layer_name(layer, "input_layernorm")))
            x = x + self._feed_forward(layer, self._normalize(x, layer_name(layer, "post_attention_layernorm")))
        return self._normalize(x, FINAL_NORM) @ self._weights[EMBEDDING].T

    def _normalize(self, x: np.ndarray, name: str) -> np.ndarray:
        """Computes the RMS norm: x divided by its root mean square, times a weight."""
        mean_square = np.mean(x * x, axis=-1, keepdims=True)
        return x / np.sqrt(mean_square + np.float32(self._config.rms_norm_eps)) * self._weights[name]

    def _project(self, x: np.ndarray, layer: int, part: str) -> np.ndarray:
        return x @ self._weights[layer_name(layer, part)].T

    def _attend(self, layer: int, x: np.ndarray) -> np.ndarray:
        """Computes grouped-query attention of x [new tokens, hidden_size] over all tokens of the sequence."""
        config = self._config
        past_keys, past_values = self._cache[layer]
        start = past_keys.shape[1]
        queries = self._rotate(self._split_heads(self._project(x, layer, "self_attn.q_proj")), start)
        new_keys = self._rotate(self._split_heads(self._project(x, layer, "self_attn.k_proj")), start)
        keys = np.concatenate([past_keys, new_keys], axis=1)
        values = np.concatenate([past_values, self._split_heads(self._project(x, layer, "self_attn.v_proj"))], axis=1)
        self._cache[layer] = (keys, values)

        group = config.num_attention_heads // config.num_key_value_heads
        keys, values = np.repeat(keys, group, axis=0), np.repeat(values, group, axis=0)
        scores = queries @ keys.transpose(0, 2, 1) * np.float32(config.head_dim**-0.5)
        is_future = np.arange(keys.shape[1])[None, :] > start + np.arange(len(x))[:, None]
        attended = softmax(np.where(is_future, np.float32(-np.inf), scores)) @ values
        return self._project(attended.transpose(1, 0, 2).reshape(len(x), -1), layer, "self_attn.o_proj")

    def _split_heads(self, x: np.ndarray) -> np.ndarray:
        """Reshapes [tokens, heads * head_dim] to [heads, tokens, head_dim]."""
        return x.reshape(len(x), -1, self._config.head_dim).transpose(1, 0, 2)

    def _rotate(self, x: np.ndarray, start: int) -> np.ndarray:
        """Applies the rotary position embedding, rotate-half order: rotates element i with element i + head_dim / 2."""
        exponents = np.arange(0, self._config.head_dim, 2) / self._config.head_dim
        angles = np.outer(start + np.arange(x.shape[1]), self._config.rope_theta**-exponents)
        cos, sin = np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)
        first, second = np.split(x, 2, axis=-1)
        return np.concatenate([first * cos - second * sin, second * cos + first * sin], axis=-1)

    def _feed_forward(self, layer: int, x: np.ndarray) -> np.ndarray:
        """Computes SwiGLU: down(silu(gate(x)) * up(x))."""
        gate = self._project(x, layer, "mlp.gate_proj")
        silu = gate / (1 + np.exp(-gate))
        return self._project(silu * self._project(x, layer, "mlp.up_proj"), layer, "mlp.down_proj")


def softmax(x: np.ndarray) -> np.ndarray:
    """Computes the softmax over the last axis."""
    powers = np.exp(x - x.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)
