"""Proves the SmolLM2 conversion: ONNX Runtime on the Hugging Face folder against numpy on the GGUF file's weights.

    python verify_smollm2.py [--folder .cache/models/smollm2-135m-instruct] [--cache .cache/smollm2] [--dtype q4|q8]

Exits with 1 when a bound is violated. q8 rounds the weights and has no bounds: its figures are what that costs.
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
"""Thirty layers of f32 additions in another order, on logits of up to about 30."""


def verify(folder: Path, cache: Path, dtype: str) -> int:
    checks = Checks()
    model = read_gguf(fetch_smollm2_gguf(cache))
    session = open_session(folder / "onnx" / ONNX_FILES[dtype])
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    weights = model.dequantize()
    stop = {model.metadata["tokenizer.ggml.eos_token_id"]}
    for reference in json.loads(REFERENCE.read_text(encoding="utf-8"))["references"]:
        prompt, expected = reference["prompt_ids"], reference["greedy_ids"]
        checks.equal(f"prompt ids: {reference['text']!r}", tokenizer.encode(reference["prompt"]).ids, prompt)
        generation = generate_greedily(LlamaOnnx(model.config, session), prompt, len(expected), stop)
        agreeing = count_agreeing(generation.ids, expected)
        checks.note(f"{agreeing} of {len(expected)} greedy ids agree")

        original = LlamaNumpy(model.config, weights).forward(prompt + expected)
        error = LlamaOnnx(model.config, session).forward(prompt + expected) - original
        rms, largest = float(np.sqrt(np.mean(error**2))), float(np.abs(error).max())
        same_choice = np.mean((original + error).argmax(axis=1) == original.argmax(axis=1))
        checks.note(
            f"RMS {rms:.1e} of {original.std():.2f} logits; same first choice at {same_choice:.1%} of positions"
        )
        if dtype == "q4":
            checks.equal("  greedy ids", generation.ids, expected)
            checks.at_most("  logits, largest difference", largest, LOGITS_BOUND)
    return checks.exit_code()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path(".cache/models/smollm2-135m-instruct"))
    parser.add_argument("--cache", type=Path, default=Path(".cache/smollm2"))
    parser.add_argument("--dtype", choices=list(ONNX_FILES), default="q4")
    arguments = parser.parse_args()
    sys.exit(verify(arguments.folder, arguments.cache, arguments.dtype))


if __name__ == "__main__":
    main()
