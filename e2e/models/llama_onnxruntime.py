"""Runs an exported ONNX model with ONNX Runtime for Python. It has the same `forward` as the numpy reference."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime

from llama_config import LlamaConfig


def open_session(path: Path) -> onnxruntime.InferenceSession:
    """Opens a session on the CPU with the default session options, as in the browser."""
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


class LlamaOnnx:
    """One sequence with its KV cache: each call to `forward` continues it. Several sequences can share a session."""

    def __init__(self, config: LlamaConfig, session: onnxruntime.InferenceSession) -> None:
        self._session = session
        self._length = 0
        empty = np.zeros((1, config.num_key_value_heads, 0, config.head_dim), np.float32)
        self._past = {node.name: empty for node in session.get_inputs() if node.name.startswith("past_key_values.")}

    def forward(self, ids: Sequence[int]) -> np.ndarray:
        """Appends tokens to the sequence and returns their logits, f32 [len(ids), vocab_size]."""
        self._length += len(ids)
        feeds = {
            "input_ids": np.array([ids], np.int64),
            "attention_mask": np.ones((1, self._length), np.int64),
            **self._past,
        }
        presents = [name.replace("past_key_values", "present") for name in self._past]
        logits, *caches = self._session.run(["logits", *presents], feeds)
        self._past = dict(zip(self._past, caches, strict=True))
        return logits[0]
