"""Exports the stories model (a Hugging Face folder) to ONNX and GGUF, both with the same Q8_0 weights.

python export_stories.py <hugging-face-folder> <output-folder>
python export_stories.py <hugging-face-folder> <output-folder> --dtype fp32   # only ONNX, for verify_stories.py
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from gguf import GGMLQuantizationType
from gguf.quants import quantize

from llama_config import EMBEDDING, LlamaConfig
from llama_onnx import EmbeddingWeight, FloatWeight, build_llama
from onnx_weights import FoldedQ8Weight
from safetensors_file import read_safetensors
from stories_gguf import write_stories_gguf

COPIED_FILES = ["generation_config.json", "tokenizer.json", "tokenizer_config.json"]


def read_json(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8"))


def write_onnx(
    path: Path, config: LlamaConfig, weights: Mapping[str, EmbeddingWeight], norms: Mapping[str, np.ndarray]
) -> None:
    """Writes a single ONNX file that contains its weights. The same arguments produce the same bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    model = build_llama(config, weights[EMBEDDING], weights, norms)
    path.write_bytes(model.SerializeToString(deterministic=True))


def export_stories(source: Path, output: Path, dtype: str) -> None:
    """Writes `<output>/stories/` (a Hugging Face ONNX folder) and, for q8, `<output>/stories.gguf`.

    Names the ONNX file as Transformers.js expects for this dtype.
    """
    config = LlamaConfig.from_hugging_face(read_json(source / "config.json"))
    tensors = read_safetensors(source / "model.safetensors")
    matrices = {name: values for name, values in tensors.items() if values.ndim == 2}
    norms = {name: values for name, values in tensors.items() if values.ndim == 1}
    folder = output / "stories"
    folder.mkdir(parents=True, exist_ok=True)
    for name in COPIED_FILES:
        shutil.copyfile(source / name, folder / name)
    # Names the folder's only variant as Transformers.js does, so that a page need not request the others.
    settings = read_json(source / "config.json") | {"transformers.js_config": {"dtype": dtype}}
    (folder / "config.json").write_text(json.dumps(settings, indent=1), encoding="utf-8")
    if dtype == "fp32":
        weights = {name: FloatWeight(values) for name, values in matrices.items()}
        write_onnx(folder / "onnx" / "model.onnx", config, weights, norms)
        return
    quantized = {name: quantize(values, GGMLQuantizationType.Q8_0) for name, values in matrices.items()}
    folded = {name: FoldedQ8Weight(rows) for name, rows in quantized.items()}
    write_onnx(folder / "onnx" / "model_quantized.onnx", config, folded, norms)
    tokenizer, tokenizer_config = read_json(source / "tokenizer.json"), read_json(source / "tokenizer_config.json")
    write_stories_gguf(output / "stories.gguf", config, quantized, norms, tokenizer, tokenizer_config)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, help="Hugging Face folder with the f32 weights")
    parser.add_argument("output", type=Path, help="folder for stories/ and stories.gguf")
    parser.add_argument("--dtype", choices=["q8", "fp32"], default="q8", help="fp32 writes only the ONNX folder")
    arguments = parser.parse_args()
    export_stories(arguments.source, arguments.output, arguments.dtype)


if __name__ == "__main__":
    main()
