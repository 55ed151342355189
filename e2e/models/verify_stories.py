"""Verifies the stories exports: compares ONNX Runtime with a numpy forward pass on the weights of the GGUF file.

    python verify_stories.py <output-folder-of-export_stories>
    python verify_stories.py <output-folder-of-export_stories> --source <hugging-face-folder>   # also: error of 8 bits

Exits with 1 if a bound is violated.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from gguf import TokenType

from checks import Checks
from export_stories import COPIED_FILES, export_stories, read_json
from greedy import CausalModel
from llama_config import LlamaConfig
from llama_gguf import GgufModel, read_gguf
from llama_numpy import LlamaNumpy
from llama_onnxruntime import LlamaOnnx, open_session
from reference_stories import make_references
from safetensors_file import read_safetensors

NewModel = Callable[[], CausalModel]

F32_BOUND = 1e-4
"""Maximum difference in logits. Only the order of the f32 additions differs."""
Q8_BOUND = 1.5e-2
"""Maximum RMS error / standard deviation, and maximum error / range, of the logits. README.md has absolute values."""
CHUNK_AT = 7
"""Tokens in the first of two chunks."""


def all_logits(new_model: NewModel, sequences: Sequence[list[int]]) -> np.ndarray:
    """Computes the logits at all positions of all sequences, f32 [positions, vocab_size]."""
    return np.concatenate([new_model().forward(ids) for ids in sequences])


def max_difference(left: np.ndarray, right: np.ndarray) -> float:
    return float(np.abs(left - right).max())


def check_quantized(checks: Checks, label: str, actual: np.ndarray, original: np.ndarray) -> None:
    """Checks the error of 8-bit quantization against the original weights."""
    error = actual - original
    rms = float(np.sqrt(np.mean(error**2)))
    largest = float(np.abs(error).max())
    agreeing = np.mean(actual.argmax(axis=1) == original.argmax(axis=1))
    checks.at_most(f"{label} vs. original: RMS error / standard deviation", rms / float(original.std()), Q8_BOUND)
    checks.at_most(f"{label} vs. original: maximum error / range", largest / float(np.ptp(original)), Q8_BOUND)
    checks.note(
        f"{label}: maximum error {largest:.3f}, RMS error {rms:.4f} logits; "
        f"same top token at {agreeing:.2%} of positions"
    )


def check_chunks(checks: Checks, label: str, new_model: NewModel, ids: list[int]) -> None:
    """Checks that prefill in two chunks, and token by token, gives the logits of one prefill."""
    whole = new_model().forward(ids)
    chunked, stepped = new_model(), new_model()
    in_two = np.concatenate([chunked.forward(ids[:CHUNK_AT]), chunked.forward(ids[CHUNK_AT:])])
    in_steps = np.concatenate([stepped.forward([token]) for token in ids])
    checks.at_most(f"{label}: prefill in two chunks vs. one prefill", max_difference(in_two, whole), F32_BOUND)
    checks.at_most(f"{label}: token by token vs. one prefill", max_difference(in_steps, whole), F32_BOUND)


def check_metadata(checks: Checks, gguf: GgufModel, config: LlamaConfig, folder: Path) -> None:
    """Checks the GGUF metadata against config.json and the tokenizer's JSON files."""
    tokenizer, settings = read_json(folder / "tokenizer.json"), read_json(folder / "tokenizer_config.json")
    ids = tokenizer["model"]["vocab"]
    kinds = [TokenType.NORMAL] * len(ids)
    for token in tokenizer["added_tokens"]:
        kinds[token["id"]] = TokenType.CONTROL
    checks.equal("GGUF: model shape", gguf.config, config)
    expected = {
        "llama.rope.dimension_count": config.head_dim,
        "llama.vocab_size": config.vocab_size,
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "gpt-2",
        "tokenizer.ggml.tokens": sorted(ids, key=ids.__getitem__),
        "tokenizer.ggml.token_type": kinds,
        "tokenizer.ggml.merges": tokenizer["model"]["merges"],
        "tokenizer.ggml.bos_token_id": ids[settings["bos_token"]],
        "tokenizer.ggml.eos_token_id": ids[settings["eos_token"]],
        "tokenizer.ggml.padding_token_id": ids[settings["pad_token"]],
        "tokenizer.ggml.add_bos_token": False,
        "tokenizer.chat_template": settings["chat_template"],
    }
    for key, value in expected.items():
        checks.equal(f"GGUF: {key}", gguf.metadata.get(key), value)


def check_source(checks: Checks, source: Path, exports: Path, config: LlamaConfig, q8: np.ndarray) -> None:
    """Checks the exports against their source, which has f32 weights."""
    tensors = read_safetensors(source / "model.safetensors")
    for name in COPIED_FILES:
        copied, original_bytes = (exports / "stories" / name).read_bytes(), (source / name).read_bytes()
        checks.equal(f"copied file is identical: {name}", copied, original_bytes)
    original = all_logits(lambda: LlamaNumpy(config, tensors), reference_sequences())
    checks.note(f"logits: standard deviation {original.std():.2f}, range {np.ptp(original):.1f}")
    with tempfile.TemporaryDirectory() as folder:
        export_stories(source, Path(folder), "fp32")
        f32 = open_session(Path(folder) / "stories" / "onnx" / "model.onnx")
    from_onnx = all_logits(partial(LlamaOnnx, config, f32), reference_sequences())
    checks.at_most("f32 ONNX vs. numpy", max_difference(from_onnx, original), F32_BOUND)
    check_quantized(checks, "q8", q8, original)


def read_references() -> list[dict[str, Any]]:
    return json.loads(Path(__file__).with_name("stories-reference.json").read_text(encoding="utf-8"))


def reference_sequences() -> list[list[int]]:
    """Returns the greedy token ids without their prompts: the checks need any text, not an answer to a prompt."""
    return [reference["greedyIds"] for reference in read_references()]


def verify(exports: Path, source: Path | None) -> int:
    """Prints the checks and returns the exit code."""
    checks = Checks()
    folder = exports / "stories"
    config = LlamaConfig.from_hugging_face(read_json(folder / "config.json"))
    gguf = read_gguf(exports / "stories.gguf")
    dequantized = gguf.dequantize()
    check_metadata(checks, gguf, config, folder)

    sequences = reference_sequences()
    q8 = open_session(folder / "onnx" / "model_quantized.onnx")
    new_q8 = partial(LlamaOnnx, config, q8)
    from_onnx = all_logits(new_q8, sequences)
    from_gguf = all_logits(lambda: LlamaNumpy(config, dequantized), sequences)
    checks.at_most("q8 ONNX vs. numpy with the GGUF weights", max_difference(from_onnx, from_gguf), F32_BOUND)
    check_chunks(checks, "q8 ONNX", new_q8, sequences[0])
    for made, committed in zip(make_references(exports), read_references(), strict=True):
        checks.equal(f"numpy reproduces the reference for {committed['prompt']!r}", made, committed)
    if source:
        check_source(checks, source, exports, config, from_onnx)
    return checks.exit_code()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("exports", type=Path, help="output folder of export_stories.py")
    parser.add_argument("--source", type=Path, help="Hugging Face folder that was exported, with f32 weights")
    arguments = parser.parse_args()
    sys.exit(verify(arguments.exports, arguments.source))


if __name__ == "__main__":
    main()
