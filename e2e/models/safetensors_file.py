"""Reads a safetensors file: 8 bytes of header length, a JSON header, then the raw tensors."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np


def read_safetensors(path: Path) -> dict[str, np.ndarray]:
    """Every tensor by name, f32, in the file's order."""
    data = path.read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    tensors = {}
    for name, entry in json.loads(data[8:start]).items():
        if name == "__metadata__":
            continue
        if entry["dtype"] != "F32":
            raise ValueError(f"{name} is {entry['dtype']}: only F32 is supported")
        begin, end = entry["data_offsets"]
        tensors[name] = np.frombuffer(data[start + begin : start + end], np.float32).reshape(entry["shape"])
    return tensors
