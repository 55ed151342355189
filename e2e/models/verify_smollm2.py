"""Verifies the SmolLM2 conversion: compares ONNX Runtime (Hugging Face folder) with numpy (weights of the GGUF file).

    python verify_smollm2.py [--folder .cache/models/smollm2-135m-instruct] [--cache .cache/smollm2] [--dtype q4|q8]

Exits with 1 if a bound is violated. q8 has no bounds: it rounds the weights, and the printed values show the error.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from checks import Checks
from convert_smollm2 import ONNX_FILES
from greedy import count_agreeing, generate_greedily
from llama_gguf import read_gguf
from llama_numpy import LlamaNumpy
from llama_onnxruntime import LlamaOnnx, open_session
from smollm2_source import fetch_smollm2_gguf

REFERENCE = Path(__file__).with_name("smollm2-reference.json")
LOGITS_BOUND = 1e-3
"""Maximum difference in logits, which reach about 30: the 30 layers add f32 values in a different order."""


def verify(folder: Path, cache: Path, dtype: str) -> int:
    """Prints the checks and returns the exit code."""
    checks = Checks()
    model = read_gguf(fetch_smollm2_gguf(cache))
    session = open_session(folder / "onnx" / ONNX_FILES[dtype])
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    weights = model.dequantize()
    stop = {model.metadata["tokenizer.ggml.eos_token_id"]}
    for reference in json.loads(REFERENCE.read_text(encoding="utf-8"))["references"]:
        prompt, expected = reference["prompt_ids"], reference["greedy_ids"]
        checks.equal(f"prompt token ids: {reference['text']!r}", tokenizer.encode(reference["prompt"]).ids, prompt)
        generation = generate_greedily(LlamaOnnx(model.config, session), prompt, len(expected), stop)
        agreeing = count_agreeing(generation.ids, expected)
        checks.note(f"{agreeing} of {len(expected)} greedy token ids agree")

        original = LlamaNumpy(model.config, weights).forward(prompt + expected)
        error = LlamaOnnx(model.config, session).forward(prompt + expected) - original
        rms, largest = float(np.sqrt(np.mean(error**2))), float(np.abs(error).max())
        same_top_token = np.mean((original + error).argmax(axis=1) == original.argmax(axis=1))
        checks.note(
            f"RMS error {rms:.1e} logits (standard deviation {original.std():.2f}); "
            f"same top token at {same_top_token:.1%} of positions"
        )
        if dtype == "q4":
            checks.equal("  greedy token ids", generation.ids, expected)
            checks.at_most("  maximum difference in logits", largest, LOGITS_BOUND)
    return checks.exit_code()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default_folder = Path(".cache/models/smollm2-135m-instruct")
    parser.add_argument("--folder", type=Path, default=default_folder, help="converted folder")
    parser.add_argument("--cache", type=Path, default=Path(".cache/smollm2"), help="folder for the download")
    parser.add_argument("--dtype", choices=list(ONNX_FILES), default="q4", help="format to verify")
    arguments = parser.parse_args()
    sys.exit(verify(arguments.folder, arguments.cache, arguments.dtype))


if __name__ == "__main__":
    main()
