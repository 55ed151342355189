"""Writes models with the shapes of real ones and without weights, for `npm run bench`.

    python random_llama.py --shape 135m --dtype q4 --output .cache/models/bench-135m

`<graph>_data.json` lists the tensors of the file `<graph>_data`; `fill-weights.ts` writes that file with seeded random
values. So a model of gigabytes travels as a graph of kilobytes, and is made where it is measured.

q4 and q4f16 use MatMulNBits (4 bits, blocks of 32, zero point 8) for the layers and the output matrix. The embedding
lookup is not quantized, because the asyncify and JSPI builds of ORT have no CPU kernel for GatherBlockQuantized. Each
word of the vocabulary encodes to exactly one token, so a prompt can have any length in tokens, and answers can be part
of the history of a chat.
"""

from __future__ import annotations

import argparse
import json
import math
from dataclasses import asdict, replace
from pathlib import Path
from string import ascii_lowercase

import numpy as np
import onnx
from onnx import TensorProto, helper

from llama_config import FINAL_NORM, LlamaConfig, layer_name
from llama_onnx import MICROSOFT, OnnxGraph, build_llama

BLOCK = 32
END = "<|end|>"

SMOLLM2_135M = LlamaConfig(
    hidden_size=576,
    num_hidden_layers=30,
    num_attention_heads=9,
    num_key_value_heads=3,
    head_dim=64,
    intermediate_size=1536,
    vocab_size=49_152,
    max_position_embeddings=8192,
    rope_theta=100_000.0,
    rms_norm_eps=1e-5,
)
TINYLLAMA_1B = replace(
    SMOLLM2_135M,
    hidden_size=2048,
    num_hidden_layers=22,
    num_attention_heads=32,
    num_key_value_heads=4,
    intermediate_size=5632,
    vocab_size=32_000,
)
# Llama 3.2 3B has a vocabulary of 128,256. Its f16 embedding would be most of the file, and a step reads one row of it.
LLAMA_3B = replace(
    SMOLLM2_135M,
    hidden_size=3072,
    num_hidden_layers=28,
    num_attention_heads=24,
    num_key_value_heads=8,
    head_dim=128,
    intermediate_size=8192,
    vocab_size=32_000,
)
# For a quick look at the benchmark on a software GPU.
TINY = replace(SMOLLM2_135M, num_hidden_layers=2, vocab_size=32_000)
SHAPES = {"tiny": TINY, "135m": SMOLLM2_135M, "1b": TINYLLAMA_1B, "3b": LLAMA_3B}

GRAPH_FILES = {"q4": "model_q4.onnx", "q4f16": "model_q4f16.onnx", "fp16": "model_fp16.onnx"}
FLOAT_TYPES = {"q4": TensorProto.FLOAT, "q4f16": TensorProto.FLOAT16, "fp16": TensorProto.FLOAT16}
# The default of the model builder, which has written most q4f16 files on the hub.
ACCURACY_LEVELS = {"q4": 0, "q4f16": 4}


class ExternalData:
    """The layout of a data file whose values are made later."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._length = 0
        self.tensors: list[dict[str, object]] = []

    def add(
        self, name: str, element_type: int, shape: tuple[int, ...], high: float | None, per_token: bool = True
    ) -> TensorProto:
        """Returns a tensor without values.

        `high`: the values are uniform in [-high, high); None for random bytes. `per_token`: whether a decode step reads
        the whole tensor.
        """
        kind = helper.tensor_dtype_to_np_dtype(element_type)
        length = math.prod(shape) * kind.itemsize
        tensor = TensorProto(name=name, data_type=element_type, dims=shape, data_location=TensorProto.EXTERNAL)
        for key, value in {"location": self._file, "offset": self._length, "length": length}.items():
            tensor.external_data.add(key=key, value=str(value))
        values = {"kind": "bytes"} if high is None else {"kind": kind.name, "high": high}
        self.tensors.append({"length": length, "perToken": per_token, **values})
        self._length += length
        return tensor


class RandomWeight:
    """A random matrix [rows, columns] whose rows have a length of about 1."""

    def __init__(self, data: ExternalData, dtype: str, rows: int, columns: int) -> None:
        self._data, self._dtype, self._rows, self._columns = data, dtype, rows, columns

    def add_product(self, graph: OnnxGraph, name: str, x: str, result: str) -> str:
        rows, columns, float_type = self._rows, self._columns, FLOAT_TYPES[self._dtype]
        if self._dtype == "fp16":
            high = math.sqrt(3 / columns)
            matrix = graph.initializer(self._data.add(f"{name}.transposed", float_type, (columns, rows), high))
            return graph.node("MatMul", [x, matrix], [result])
        blocks = columns // BLOCK
        # The 16 levels have a standard deviation of 4.6. A scale is at most 0.75 (uniform) times what makes the length 1.
        high = 1.5 / (4.6 * math.sqrt(columns))
        levels = self._data.add(f"{name}.q4", TensorProto.UINT8, (rows, blocks, BLOCK // 2), None)
        scales = self._data.add(f"{name}.scales", float_type, (rows, blocks), high)
        inputs = [x, graph.initializer(levels), graph.initializer(scales)]
        attributes = {"K": columns, "N": rows, "bits": 4, "block_size": BLOCK}
        level = ACCURACY_LEVELS[self._dtype]
        return graph.node("MatMulNBits", inputs, [result], MICROSOFT, accuracy_level=level, **attributes)

    def add_lookup(self, graph: OnnxGraph, name: str, ids: str, result: str) -> str:
        shape, high = (self._rows, self._columns), math.sqrt(3 / self._columns)
        table = self._data.add(name, FLOAT_TYPES[self._dtype], shape, high, per_token=False)
        return graph.node("Gather", [graph.initializer(table), ids], [result], axis=0)


def build_random_llama(config: LlamaConfig, dtype: str, data: ExternalData) -> onnx.ModelProto:
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
        layer_name(layer, part): RandomWeight(data, dtype, *shape) for layer in layers for part, shape in shapes.items()
    }
    norm_names = [layer_name(layer, part) for layer in layers for part in ("input_layernorm", "post_attention_layernorm")]
    float_type = FLOAT_TYPES[dtype]
    ones = np.ones(hidden, helper.tensor_dtype_to_np_dtype(float_type))
    norms = {name: ones for name in [*norm_names, FINAL_NORM]}
    embedding = RandomWeight(data, dtype, config.vocab_size, hidden)
    return build_llama(config, embedding, weights, norms, float_type)


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
            "transformers.js_config": {"use_external_data_format": {file: 1 for file in GRAPH_FILES.values()}},
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


def write_folder(
    folder: Path, graph: Path, model: onnx.ModelProto, data: ExternalData, files: dict[str, dict[str, object]]
) -> None:
    """Writes a model folder. The last of `files` is written last: a folder that contains it is complete."""
    graph.parent.mkdir(parents=True, exist_ok=True)
    graph.write_bytes(model.SerializeToString(deterministic=True))
    graph.with_name(f"{graph.name}_data.json").write_text(json.dumps(data.tensors), encoding="utf-8")
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True, help="output folder")
    parser.add_argument("--shape", choices=list(SHAPES), default="135m", help="sizes of the model")
    parser.add_argument("--dtype", choices=list(GRAPH_FILES), default="q4", help="format of the weights")
    arguments = parser.parse_args()
    output: Path = arguments.output
    config, dtype = SHAPES[arguments.shape], arguments.dtype
    graph = output / "onnx" / GRAPH_FILES[dtype]
    data = ExternalData(f"{graph.name}_data")
    write_folder(output, graph, build_random_llama(config, dtype, data), data, small_files(config))


if __name__ == "__main__":
    main()
