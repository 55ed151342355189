"""Greedy generation with any model here that continues a sequence."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np


class CausalModel(Protocol):
    def forward(self, ids: Sequence[int]) -> np.ndarray:
        """Logits f32 [len(ids), vocab_size] of the given tokens, which follow those of earlier calls."""


@dataclass(frozen=True)
class Generation:
    ids: list[int]
    min_margin: float
    """Smallest gap between first and second choice, in logits: how much error the ids tolerate."""


def generate_greedily(model: CausalModel, prompt: Sequence[int], count: int, stop_ids: Collection[int]) -> Generation:
    """At most `count` tokens; a stop token is the last of the ids."""
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
    """The number of tokens before the first that differs."""
    for index, (left, right) in enumerate(zip(actual, expected, strict=False)):
        if left != right:
            return index
    return min(len(actual), len(expected))
