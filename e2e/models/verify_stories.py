"""Proves the stories exports: a plain numpy forward pass against ONNX Runtime and against the GGUF file.

    python verify_stories.py <hugging-face-folder> <output-folder-of-export_stories>

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
from greedy import CausalModel, count_agreeing, generate_greedily
from llama_config import LlamaConfig
from llama_gguf import GgufModel, read_gguf
from llama_numpy import LlamaNumpy
from llama_onnxruntime import LlamaOnnx, open_session
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


def check_greedy(checks: Checks, what: str, new_model: NewModel, references: list[dict[str, Any]]) -> None:
    counts = []
    for reference in references:
        expected = reference["greedy_ids"]
        actual = generate_greedily(new_model(), reference["prompt_ids"], len(expected), stop_ids=())
        counts.append((count_agreeing(actual.ids, expected), len(expected)))
    complete = sum(count == length for count, length in counts)
    details = ", ".join(f"{count}/{length}" for count, length in counts)
    checks.note(f"{what}: {complete} of {len(counts)} prompts give the reference's greedy ids to the end ({details})")


def check_reference(checks: Checks, new_model: NewModel, references: list[dict[str, Any]]) -> None:
    """The numpy model itself, against what PyTorch computed when the model was trained."""
    for reference in references:
        prompt = reference["prompt_ids"]
        logits = new_model().forward(prompt + reference["greedy_ids"])[len(prompt) - 1 :]
        ids = logits[:-1].argmax(axis=1).tolist()
        checks.equal(f"numpy greedy ids are PyTorch's: {reference['text']!r}", ids, reference["greedy_ids"])
        tokens, expected = zip(*reference["first_logits_top10"], strict=True)
        # The file rounds to 4 decimals.
        checks.at_most("  first logits", max_difference(logits[0][list(tokens)], np.array(expected)), F32_BOUND)


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


def verify(source: Path, exports: Path) -> int:
    checks = Checks()
    config = LlamaConfig.from_hugging_face(read_json(source / "config.json"))
    references = json.loads((source / "reference.json").read_text(encoding="utf-8"))
    sequences = [reference["prompt_ids"] + reference["greedy_ids"] for reference in references]
    tensors = read_safetensors(source / "model.safetensors")
    gguf = read_gguf(exports / "stories.gguf")
    dequantized = gguf.dequantize()
    for name in COPIED_FILES:
        checks.equal(f"copied: {name}", (exports / "stories" / name).read_bytes(), (source / name).read_bytes())
    check_metadata(checks, gguf, config, source)
    checks.equal("GGUF: tensors", dequantized.keys(), tensors.keys())

    check_reference(checks, lambda: LlamaNumpy(config, tensors), references)
    original = all_logits(lambda: LlamaNumpy(config, tensors), sequences)
    checks.note(
        f"{len(original)} positions; standard deviation {original.std():.2f}, range {np.ptp(original):.1f} logits"
    )

    with tempfile.TemporaryDirectory() as folder:
        export_stories(source, Path(folder), "fp32")
        f32 = open_session(Path(folder) / "stories" / "onnx" / "model.onnx")
    new_f32 = partial(LlamaOnnx, config, f32)
    checks.at_most("f32 ONNX against numpy", max_difference(all_logits(new_f32, sequences), original), F32_BOUND)
    check_chunks(checks, "f32 ONNX", new_f32, sequences[0])
    check_greedy(checks, "f32 ONNX", new_f32, references)

    q8 = open_session(exports / "stories" / "onnx" / "model_quantized.onnx")
    new_q8 = partial(LlamaOnnx, config, q8)
    from_onnx = all_logits(new_q8, sequences)
    from_gguf = all_logits(lambda: LlamaNumpy(config, dequantized), sequences)
    checks.at_most("q8 ONNX against numpy on the GGUF's weights", max_difference(from_onnx, from_gguf), F32_BOUND)
    check_quantized(checks, "q8", from_onnx, original)
    check_chunks(checks, "q8 ONNX", new_q8, sequences[0])
    check_greedy(checks, "q8 ONNX", new_q8, references)
    return checks.exit_code()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path)
    parser.add_argument("exports", type=Path)
    arguments = parser.parse_args()
    sys.exit(verify(arguments.source, arguments.exports))


if __name__ == "__main__":
    main()
