"""Converts SmolLM2-135M-Instruct from GGUF (Q4_1) to a Hugging Face ONNX folder.

    python convert_smollm2.py [--output .cache/models/smollm2-135m-instruct] [--cache .cache/smollm2] [--dtype q4|q8]

q4 keeps the 4-bit blocks of the GGUF file exactly. Their zero points are fractional, which WebGPU does not support, so
the layers run on the CPU. q8 rounds the blocks to 8 bits, which WebGPU supports.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import onnx
from gguf import GGMLQuantizationType

from llama_config import EMBEDDING
from llama_gguf import GgufModel, GgufTensor, read_gguf
from llama_onnx import build_llama
from onnx_weights import FoldedQ8Weight, exact_q4, rounded_q8
from smollm2_files import config_json, generation_config_json, tokenizer_config_json, tokenizer_json
from smollm2_source import fetch_smollm2_gguf

Q4_1, Q8_0 = GGMLQuantizationType.Q4_1, GGMLQuantizationType.Q8_0
FILES = {
    "config.json": config_json,
    "generation_config.json": generation_config_json,
    "tokenizer.json": tokenizer_json,
    "tokenizer_config.json": tokenizer_config_json,
}
ONNX_FILES = {"q4": "model_q4.onnx", "q8": "model_quantized.onnx"}
LAYER_WEIGHTS = {"q4": exact_q4, "q8": rounded_q8}
EXTERNAL_FROM_BYTES = 1024


def write_onnx(model: GgufModel, path: Path, dtype: str) -> None:
    """Writes the graph to `path` and its weights to `<path>_data`, as large exports on Hugging Face do."""
    norms = {name: tensor.data for name, tensor in model.tensors.items() if tensor.data.ndim == 1}
    layers = {name: tensor for name, tensor in model.tensors.items() if name not in norms and name != EMBEDDING}
    weights = {name: LAYER_WEIGHTS[dtype](blocks_of(tensor, Q4_1)) for name, tensor in layers.items()}
    embedding = FoldedQ8Weight(blocks_of(model.tensors[EMBEDDING], Q8_0))
    data = path.with_name(path.name + "_data")
    data.unlink(missing_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    graph = build_llama(model.config, embedding, weights, norms)
    onnx.save_model(graph, path, save_as_external_data=True, location=data.name, size_threshold=EXTERNAL_FROM_BYTES)
    data.chmod(path.stat().st_mode)  # onnx makes the file readable only by its owner.


def blocks_of(tensor: GgufTensor, kind: GGMLQuantizationType) -> np.ndarray:
    """Returns the blocks, uint8 [rows, bytes per row]. Raises ValueError if they have another format."""
    if tensor.kind != kind:
        raise ValueError(f"A tensor has {tensor.kind.name} blocks. Only {kind.name} is supported for it.")
    return tensor.data


def convert(gguf: Path, output: Path, dtype: str) -> None:
    """Writes the Hugging Face ONNX folder. tokenizer_config.json is written last and marks the folder as complete."""
    model = read_gguf(gguf)
    write_onnx(model, output / "onnx" / ONNX_FILES[dtype], dtype)
    for name, make in FILES.items():
        (output / name).write_text(json.dumps(make(model), indent=1, ensure_ascii=False), encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default_output = Path(".cache/models/smollm2-135m-instruct")
    parser.add_argument("--output", type=Path, default=default_output, help="output folder")
    parser.add_argument("--cache", type=Path, default=Path(".cache/smollm2"), help="folder for the download")
    parser.add_argument("--dtype", choices=list(ONNX_FILES), default="q4", help="format of the layer weights")
    arguments = parser.parse_args()
    convert(fetch_smollm2_gguf(arguments.cache), arguments.output, arguments.dtype)


if __name__ == "__main__":
    main()
