"""Reads a safetensors file: the header length (8 bytes), a JSON header, then the raw tensors."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np


def read_safetensors(path: Path) -> dict[str, np.ndarray]:
    """Returns all tensors by name, as f32, in the order of the header. Raises ValueError for other dtypes."""
    data = path.read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    tensors = {}
    for name, entry in json.loads(data[8:start]).items():
        if name == "__metadata__":
            continue
        if entry["dtype"] != "F32":
            raise ValueError(f"The dtype of {name} is {entry['dtype']}. Only F32 is supported.")
        begin, end = entry["data_offsets"]
        tensors[name] = np.frombuffer(data[start + begin : start + end], np.float32).reshape(entry["shape"])
    return tensors
