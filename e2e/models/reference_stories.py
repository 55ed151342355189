"""Writes stories-reference.json: greedy token ids of the embedded model, computed from its GGUF weights with numpy.

python reference_stories.py <output-folder-of-export_stories>
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from greedy import generate_greedily
from llama_gguf import read_gguf
from llama_numpy import LlamaNumpy

QUESTIONS = [
    "Tell me a story about a dragon.",
    "I want a story with a cat and a ball.",
    "Write a story about a robot.",
    "Can you tell me a story about the moon?",
]
TOKEN_COUNT = 48


def make_references(exports: Path) -> list[dict[str, Any]]:
    """Generates 48 greedy token ids per question. Prints each text with its smallest margin in logits."""
    model = read_gguf(exports / "stories.gguf")
    tokenizer = Tokenizer.from_file(str(exports / "stories" / "tokenizer.json"))
    weights = model.dequantize()
    references = []
    for question in QUESTIONS:
        prompt = tokenizer.encode(f"<|user|>{question}<|end|><|assistant|>", add_special_tokens=False).ids
        generation = generate_greedily(LlamaNumpy(model.config, weights), prompt, TOKEN_COUNT, stop_ids=())
        print(f"{question} (smallest margin: {generation.min_margin:.4f} logits) {tokenizer.decode(generation.ids)}")
        references.append({"prompt": question, "promptTokens": len(prompt), "greedyIds": generation.ids})
    return references


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("exports", type=Path, help="output folder of export_stories.py")
    references = make_references(parser.parse_args().exports)
    lines = ",\n".join(f"  {json.dumps(reference, ensure_ascii=False)}" for reference in references)
    Path(__file__).with_name("stories-reference.json").write_text(f"[\n{lines}\n]\n", encoding="utf-8")


if __name__ == "__main__":
    main()
