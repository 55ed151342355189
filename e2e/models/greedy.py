"""Greedy generation with any model that implements `CausalModel`."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np


class CausalModel(Protocol):
    """A model that keeps its KV cache between calls."""

    def forward(self, ids: Sequence[int]) -> np.ndarray:
        """Appends tokens to the sequence and returns their logits, f32 [len(ids), vocab_size]."""


@dataclass(frozen=True)
class Generation:
    """The generated token ids."""

    ids: list[int]
    min_margin: float
    """Smallest difference between the highest and second-highest logit: the error that the ids tolerate."""


def generate_greedily(model: CausalModel, prompt: Sequence[int], count: int, stop_ids: Collection[int]) -> Generation:
    """Generates at most `count` tokens, or until a stop token, which is included in the ids."""
    ids: list[int] = []
    min_margin = float("inf")
    step = list(prompt)
    while len(ids) < count and not (ids and ids[-1] in stop_ids):
        logits = model.forward(step)[-1]
        second, first = np.partition(logits, -2)[-2:]
        min_margin = min(min_margin, float(first - second))
        step = [int(logits.argmax())]
        ids += step
    return Generation(ids, min_margin)


def count_agreeing(actual: Sequence[int], expected: Sequence[int]) -> int:
    """Returns the number of equal tokens before the first difference."""
    for index, (left, right) in enumerate(zip(actual, expected, strict=False)):
        if left != right:
            return index
    return min(len(actual), len(expected))
