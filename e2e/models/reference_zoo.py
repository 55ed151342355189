"""Writes zoo-reference.json: greedy token ids of the models of the zoo, computed by ONNX Runtime in a plain loop.

    python reference_zoo.py <folder of the zoo's models> [names of models ...]

The arithmetic is exact where ONNX Runtime's CPU kernels are not: 16-bit floats are computed with 32 bits, 4-bit weights
are multiplied by activations that are not rounded (`accuracy_level` 4 rounds them to 8 bits), and the norms of queries
and keys are nodes of their own (the attention kernel for the CPU cannot compute them). Answers do not stop at an end token.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from greedy import generate_greedily

OUTPUT = Path(__file__).with_name("zoo-reference.json")
SUFFIXES = {"fp32": "", "fp16": "_fp16", "q4": "_q4", "q4f16": "_q4f16", "q8": "_quantized"}
GRAPHS = ("model", "decoder_model_merged")
COUNTS = {"raw": 128, "long": 64}
"""Tokens after each prompt. The short prompt's answer passes all windows (32, 64) and the rotary switch (128)."""

ELEMENTS = {
    "tensor(float)": np.float32,
    "tensor(int64)": np.int64,
    "tensor(int32)": np.int32,
    "tensor(bool)": np.bool_,
}
QUERY_NORM, KEY_NORM = 14, 15
"""The inputs of GroupQueryAttention with the weights of the norms."""


def subgraphs(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                yield from subgraphs(attribute.g)


def widen_tensor(tensor: onnx.TensorProto) -> None:
    if tensor.data_type == TensorProto.FLOAT16:
        values = numpy_helper.to_array(tensor).astype(np.float32)
        tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))


def widen_floats(graph: onnx.GraphProto) -> None:
    """Replaces all 16-bit floats of a graph with 32-bit floats."""
    for tensor in graph.initializer:
        widen_tensor(tensor)
    for value in [*graph.input, *graph.output, *graph.value_info]:
        if value.type.tensor_type.elem_type == TensorProto.FLOAT16:
            value.type.tensor_type.elem_type = TensorProto.FLOAT
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.TENSOR:
                widen_tensor(attribute.t)
            if node.op_type == "Cast" and attribute.name == "to" and attribute.i == TensorProto.FLOAT16:
                attribute.i = TensorProto.FLOAT


def keep_activations(graph: onnx.GraphProto) -> None:
    """Removes the permission to round activations."""
    for node in graph.node:
        kept = [attribute for attribute in node.attribute if attribute.name != "accuracy_level"]
        del node.attribute[:]
        node.attribute.extend(kept)


def separate_norms(graph: onnx.GraphProto) -> None:
    """Moves the norms of queries and keys out of the attention nodes."""
    nodes: list[onnx.NodeProto] = []
    sizes = {tensor.name: tensor.dims[-1] for tensor in graph.initializer if tensor.dims}
    for node in graph.node:
        if node.op_type == "GroupQueryAttention" and len(node.input) > KEY_NORM:
            epsilon = next((a.f for a in node.attribute if a.name == "qk_norm_epsilon"), 1e-6)
            for position, weight in ((0, node.input[QUERY_NORM]), (1, node.input[KEY_NORM])):
                base = f"{node.name}/norm{position}"
                shapes = {"heads": [0, 0, -1, sizes[weight]], "joined": [0, 0, -1]}
                for name, shape in shapes.items():
                    graph.initializer.append(numpy_helper.from_array(np.array(shape, np.int64), f"{base}/{name}"))
                nodes += [
                    helper.make_node("Reshape", [node.input[position], f"{base}/heads"], [f"{base}/split"]),
                    helper.make_node(
                        "SimplifiedLayerNormalization",
                        [f"{base}/split", weight],
                        [f"{base}/normed"],
                        axis=-1,
                        epsilon=epsilon,
                        stash_type=1,
                    ),
                    helper.make_node("Reshape", [f"{base}/normed", f"{base}/joined"], [f"{base}/result"]),
                ]
                node.input[position] = f"{base}/result"
            kept = [a for a in node.attribute if not a.name.startswith("qk_norm")]
            del node.attribute[:]
            node.attribute.extend(kept)
            inputs = list(node.input)[:QUERY_NORM]
            while inputs and not inputs[-1]:
                inputs.pop()
            del node.input[:]
            node.input.extend(inputs)
        nodes.append(node)
    del graph.node[:]
    graph.node.extend(nodes)


def open_exact(path: Path) -> onnxruntime.InferenceSession:
    model = onnx.load(path)
    for graph in subgraphs(model.graph):
        widen_floats(graph)
        keep_activations(graph)
        separate_norms(graph)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


class Decoder:
    """One sequence. Passes each kind of state that decoders have from run to run."""

    def __init__(self, config: dict[str, Any], session: Any, embed: Any | None) -> None:
        self._session, self._embed = session, embed
        self._length = 0
        # Only the layout that names this dimension needs it.
        head_size = config.get("head_dim") or config.get("hidden_size", 0) // config.get("num_attention_heads", 1)
        self._past = {}
        for state in session.get_inputs():
            if state.name.startswith("past"):
                sizes = {"batch_size": 1, "kv_cache_dim": head_size}
                shape = [size if isinstance(size, int) else sizes.get(size, 0) for size in state.shape]
                shape[0] = 1
                self._past[state.name] = np.zeros(shape, ELEMENTS[state.type])

    def forward(self, ids: list[int]) -> np.ndarray:
        self._length += len(ids)
        positions = np.arange(self._length - len(ids), self._length, dtype=np.int64)[None]
        feeds: dict[str, np.ndarray] = dict(self._past)
        if self._embed:
            (embeddings,) = self._embed.run(None, {"input_ids": np.array([ids], np.int64)})
            feeds["inputs_embeds"] = embeddings
        known = {
            "input_ids": np.array([ids], np.int64),
            "attention_mask": np.ones((1, self._length), np.int64),
            "num_logits_to_keep": np.array(1, np.int64),
        }
        for node in self._session.get_inputs():
            if node.name == "position_ids":
                feeds[node.name] = np.repeat(positions[None], 3, 0) if len(node.shape) == 3 else positions
            elif node.name in known:
                feeds[node.name] = known[node.name]
        names = [node.name for node in self._session.get_outputs()]
        results = dict(zip(names, self._session.run(None, feeds), strict=True))
        self._past = {name: results[present_name(name, names)] for name in self._past}
        return results["logits"][0].astype(np.float32)


def present_name(past: str, outputs: list[str]) -> str:
    candidates = (past.replace(a, b, 1) for a, b in (("past_key_values", "present"), ("past", "present")))
    return next(name for name in candidates if name in outputs)


def answer(folder: Path, graph: str, suffix: str, prompts: dict[str, Any]) -> dict[str, list[int]]:
    config = json.loads((folder / "config.json").read_text())
    config |= config.get("text_config", {})
    session = open_exact(folder / f"onnx/{graph}{suffix}.onnx")
    embed_path = folder / f"onnx/embed_tokens{suffix}.onnx"
    embed = open_exact(embed_path) if embed_path.exists() else None
    answers = {}
    for name, count in COUNTS.items():
        decoder = Decoder(config, session, embed)
        generation = generate_greedily(decoder, prompts[name]["ids"], count, stop_ids=())
        answers[name] = generation.ids
        print(f"  {name}: smallest margin {generation.min_margin:.5f}", flush=True)
    return answers


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("zoo", type=Path)
    parser.add_argument("names", nargs="*", help="models, such as genai/qwen3; default: all")
    arguments = parser.parse_args()
    zoo: Path = arguments.zoo
    references: dict[str, Any] = json.loads(OUTPUT.read_text()) if OUTPUT.exists() else {}
    names = arguments.names or sorted(str(path.parent.relative_to(zoo)) for path in zoo.glob("*/*/config.json"))
    for name in names:
        folder = zoo / name
        # The builder's Qwen 3.5 has the weights and the tokenizer of the one with transformers.js's names, and no prompts.
        source = folder if (folder / "reference.json").exists() else zoo / "hub/qwen3.5-one-file"
        prompts = json.loads((source / "reference.json").read_text())["prompts"]
        for dtype, suffix in SUFFIXES.items():
            for graph in GRAPHS:
                if (folder / f"onnx/{graph}{suffix}.onnx").exists():
                    print(name, dtype, flush=True)
                    references[f"{name} {dtype}"] = answer(folder, graph, suffix, prompts)
    lines = [f"  {json.dumps(key)}: {json.dumps(references[key])}" for key in sorted(references)]
    OUTPUT.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
