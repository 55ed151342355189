"""Writes a model with the shape of SmolLM2-135M and seeded random weights, for `npm run bench`.

    python random_llama.py [--output .cache/models/bench-135m] [--layers 30]

The layers and the output matrix use MatMulNBits (4 bits, blocks of 32, f32 scales, zero point 8). The embedding lookup
uses f32, because the asyncify and JSPI builds of ORT have no CPU kernel for GatherBlockQuantized. Each word of the
vocabulary encodes to exactly one token, so a prompt can have any length in tokens, and answers can be part of the
history of a chat.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from string import ascii_lowercase

import numpy as np
import onnx

from llama_config import FINAL_NORM, LlamaConfig, layer_name
from llama_onnx import FloatWeight, OnnxGraph, build_llama
from onnx_weights import NBitsWeight

SEED = 20_260_914
BLOCK = 32
EXTERNAL_FROM_BYTES = 1024
END = "<|end|>"


def smollm2_shape(layers: int) -> LlamaConfig:
    return LlamaConfig(
        hidden_size=576,
        num_hidden_layers=layers,
        num_attention_heads=9,
        num_key_value_heads=3,
        head_dim=64,
        intermediate_size=1536,
        vocab_size=49_152,
        max_position_embeddings=8192,
        rope_theta=100_000.0,
        rms_norm_eps=1e-5,
    )


class Blocks:
    """A random matrix [rows, columns] of 4-bit levels with a scale per block. Its rows have a length of about 1."""

    def __init__(self, random: np.random.Generator, rows: int, columns: int) -> None:
        shape = (rows, columns // BLOCK, BLOCK)
        self.levels = random.integers(1, 16, shape, np.uint8)
        deviation = np.sqrt(np.mean(np.square(np.arange(1, 16) - 8.0)))
        spread = 0.5 + random.random(shape[:2], np.float32)
        self.scales = (spread / (deviation * np.sqrt(columns))).astype(np.float32)

    def floats(self) -> np.ndarray:
        values = (self.levels.astype(np.float32) - 8) * self.scales[..., np.newaxis]
        return values.reshape(len(values), -1)

    def weight(self) -> NBitsWeight:
        return NBitsWeight(4, self.levels, self.scales)


class RandomEmbedding:
    """Uses f32 for the lookup and 4 bits for the product."""

    def __init__(self, blocks: Blocks) -> None:
        self._lookup = FloatWeight(blocks.floats())
        self._product = blocks.weight()

    def add_lookup(self, graph: OnnxGraph, name: str, ids: str, result: str) -> str:
        return self._lookup.add_lookup(graph, name, ids, result)

    def add_product(self, graph: OnnxGraph, name: str, x: str, result: str) -> str:
        return self._product.add_product(graph, name, x, result)


def build_random_llama(config: LlamaConfig) -> onnx.ModelProto:
    random = np.random.default_rng(SEED)
    hidden, feed_forward = config.hidden_size, config.intermediate_size
    queries = config.num_attention_heads * config.head_dim
    keys = config.num_key_value_heads * config.head_dim
    shapes = {
        "self_attn.q_proj": (queries, hidden),
        "self_attn.k_proj": (keys, hidden),
        "self_attn.v_proj": (keys, hidden),
        "self_attn.o_proj": (hidden, queries),
        "mlp.gate_proj": (feed_forward, hidden),
        "mlp.up_proj": (feed_forward, hidden),
        "mlp.down_proj": (hidden, feed_forward),
    }
    layers = range(config.num_hidden_layers)
    weights = {
        layer_name(layer, part): Blocks(random, *shape).weight() for layer in layers for part, shape in shapes.items()
    }
    norm_names = [layer_name(layer, part) for layer in layers for part in ("input_layernorm", "post_attention_layernorm")]
    norms = {name: np.ones(hidden, np.float32) for name in [*norm_names, FINAL_NORM]}
    embedding = RandomEmbedding(Blocks(random, config.vocab_size, hidden))
    return build_llama(config, embedding, weights, norms)


def byte_characters() -> list[str]:
    """Returns the character that byte-level BPE uses for each byte (`bytes_to_unicode` of GPT-2)."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = iter(range(256, 512))
    return [chr(byte if byte in printable else next(others)) for byte in range(256)]


def words(count: int) -> list[str]:
    """Returns the first `count` of the words a … z, aa … zz, aaa …"""
    found: list[str] = []
    longest = [""]
    while len(found) < count:
        longest = [start + letter for start in longest for letter in ascii_lowercase]
        found += longest
    return found[:count]


def tokenizer_json(vocab_size: int) -> dict[str, object]:
    """Returns a byte-level BPE tokenizer: 256 bytes, then words with a leading space, then the end token."""
    characters = byte_characters()
    space = characters[ord(" ")]
    tokens = [*characters, *(space + word for word in words(vocab_size - len(characters) - 1)), END]
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    byte_level = {"type": "ByteLevel", "trim_offsets": True, "use_regex": True}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [{"id": vocab_size - 1, "content": END, **flags}],
        "normalizer": None,
        "pre_tokenizer": {**byte_level, "add_prefix_space": False},
        "post_processor": None,
        "decoder": {**byte_level, "add_prefix_space": True},
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": True,
            "vocab": {token: id for id, token in enumerate(tokens)},
            "merges": [],
        },
    }


def small_files(config: LlamaConfig) -> dict[str, dict[str, object]]:
    """Returns the JSON files of the folder by name. tokenizer_config.json is the last."""
    end = config.vocab_size - 1
    ids = {"bos_token_id": end, "eos_token_id": end, "pad_token_id": end}
    return {
        "config.json": {
            "architectures": ["LlamaForCausalLM"],
            "hidden_act": "silu",
            "model_type": "llama",
            "tie_word_embeddings": True,
            "transformers.js_config": {"use_external_data_format": {"model_q4.onnx": 1}},
            **asdict(config),
            **ids,
        },
        "generation_config.json": {"do_sample": False, **ids},
        "tokenizer.json": tokenizer_json(config.vocab_size),
        "tokenizer_config.json": {
            "clean_up_tokenization_spaces": False,
            "eos_token": END,
            "model_max_length": config.max_position_embeddings,
            "pad_token": END,
            "tokenizer_class": "GPT2Tokenizer",
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path(".cache/models/bench-135m"), help="output folder")
    parser.add_argument("--layers", type=int, default=30, help="number of layers")
    arguments = parser.parse_args()
    output: Path = arguments.output
    config = smollm2_shape(arguments.layers)
    graph = output / "onnx/model_q4.onnx"
    data = graph.with_name(graph.name + "_data")
    graph.parent.mkdir(parents=True, exist_ok=True)
    data.unlink(missing_ok=True)
    model = build_random_llama(config)
    onnx.save_model(model, graph, save_as_external_data=True, location=data.name, size_threshold=EXTERNAL_FROM_BYTES)
    data.chmod(graph.stat().st_mode)  # onnx makes the file readable only by its owner.
    # tokenizer_config.json is written last: a folder that contains it is complete.
    for name, content in small_files(config).items():
        (output / name).write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")


if __name__ == "__main__":
    main()
