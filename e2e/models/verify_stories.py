"""Proves the stories exports: a plain numpy forward pass on the GGUF file's weights against ONNX Runtime.

    python verify_stories.py <output-folder-of-export_stories>
    python verify_stories.py <output-folder-of-export_stories> --source <hugging-face-folder>   # and what 8 bits cost

Exits with 1 when a bound is violated.
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
"""Logits; only the order of f32 additions differs."""
Q8_BOUND = 1e-2
"""Of the logits' standard deviation (RMS error) and range (largest error); see README.md for absolute figures."""
CHUNK_AT = 7


def all_logits(new_model: NewModel, sequences: Sequence[list[int]]) -> np.ndarray:
    """Logits of every position of every sequence, f32 [positions, vocab_size]."""
    return np.concatenate([new_model().forward(ids) for ids in sequences])


def max_difference(left: np.ndarray, right: np.ndarray) -> float:
    return float(np.abs(left - right).max())


def check_quantized(checks: Checks, what: str, actual: np.ndarray, original: np.ndarray) -> None:
    """What 8 bits cost against the original weights."""
    error = actual - original
    rms = float(np.sqrt(np.mean(error**2)))
    largest = float(np.abs(error).max())
    agreeing = np.mean(actual.argmax(axis=1) == original.argmax(axis=1))
    checks.at_most(f"{what} against original: RMS / standard deviation", rms / float(original.std()), Q8_BOUND)
    checks.at_most(f"{what} against original: largest / range", largest / float(np.ptp(original)), Q8_BOUND)
    checks.note(
        f"{what}: largest {largest:.3f}, RMS {rms:.4f} logits; same first choice at {agreeing:.2%} of positions"
    )


def check_chunks(checks: Checks, what: str, new_model: NewModel, ids: list[int]) -> None:
    """Prefill in two chunks, and token by token, gives the logits of prefill in one."""
    whole = new_model().forward(ids)
    chunked, stepped = new_model(), new_model()
    in_two = np.concatenate([chunked.forward(ids[:CHUNK_AT]), chunked.forward(ids[CHUNK_AT:])])
    in_steps = np.concatenate([stepped.forward([token]) for token in ids])
    checks.at_most(f"{what}: prefill in two chunks against one", max_difference(in_two, whole), F32_BOUND)
    checks.at_most(f"{what}: token by token against one prefill", max_difference(in_steps, whole), F32_BOUND)


def check_metadata(checks: Checks, gguf: GgufModel, config: LlamaConfig, folder: Path) -> None:
    tokenizer, settings = read_json(folder / "tokenizer.json"), read_json(folder / "tokenizer_config.json")
    ids = tokenizer["model"]["vocab"]
    kinds = [TokenType.NORMAL] * len(ids)
    for token in tokenizer["added_tokens"]:
        kinds[token["id"]] = TokenType.CONTROL
    checks.equal("GGUF: shape", gguf.config, config)
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
    """The exports against the f32 weights that they were made from."""
    tensors = read_safetensors(source / "model.safetensors")
    for name in COPIED_FILES:
        checks.equal(f"copied: {name}", (exports / "stories" / name).read_bytes(), (source / name).read_bytes())
    original = all_logits(lambda: LlamaNumpy(config, tensors), reference_sequences())
    checks.note(f"standard deviation {original.std():.2f}, range {np.ptp(original):.1f} logits")
    with tempfile.TemporaryDirectory() as folder:
        export_stories(source, Path(folder), "fp32")
        f32 = open_session(Path(folder) / "stories" / "onnx" / "model.onnx")
    from_onnx = all_logits(partial(LlamaOnnx, config, f32), reference_sequences())
    checks.at_most("f32 ONNX against numpy", max_difference(from_onnx, original), F32_BOUND)
    check_quantized(checks, "q8", q8, original)


def read_references() -> list[dict[str, Any]]:
    return json.loads(Path(__file__).with_name("stories-reference.json").read_text(encoding="utf-8"))


def reference_sequences() -> list[list[int]]:
    """Greedy ids without their prompts; they are text like any other."""
    return [reference["greedyIds"] for reference in read_references()]


def verify(exports: Path, source: Path | None) -> int:
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
    checks.at_most("q8 ONNX against numpy on the GGUF's weights", max_difference(from_onnx, from_gguf), F32_BOUND)
    check_chunks(checks, "q8 ONNX", new_q8, sequences[0])
    for made, committed in zip(make_references(exports), read_references(), strict=True):
        checks.equal(f"numpy gives the reference to {committed['prompt']!r}", made, committed)
    if source:
        check_source(checks, source, exports, config, from_onnx)
    return checks.exit_code()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("exports", type=Path)
    parser.add_argument("--source", type=Path, help="the folder that was exported, with the weights in f32")
    arguments = parser.parse_args()
    sys.exit(verify(arguments.exports, arguments.source))


if __name__ == "__main__":
    main()
