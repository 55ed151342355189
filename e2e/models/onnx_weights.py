"""Adds quantized matrices to an ONNX graph (see `Weight` and `EmbeddingWeight` in llama_onnx.py)."""

from __future__ import annotations

import numpy as np
from gguf import GGMLQuantizationType
from gguf.quants import dequantize, quantize
from onnx import TensorProto

from llama_gguf import split_q4_1, split_q8_0
from llama_onnx import MICROSOFT, OnnxGraph


class FoldedQ8Weight:
    """Q8_0 blocks: int8 in the file, constant-folded to f32 when the session loads.

    The graph uses Cast, Mul and Reshape on constants, because ORT folds these with default session options. It folds
    DequantizeLinear only with session.disable_quant_qdq.
    """

    def __init__(self, data: np.ndarray) -> None:
        """`data`: Q8_0 blocks, uint8 [rows, bytes per row]."""
        self._quantized, self._scales = split_q8_0(data)

    def _add_floats(self, graph: OnnxGraph, name: str) -> str:
        rows, blocks, block_size = self._quantized.shape
        shape = np.array([rows, blocks * block_size], np.int64)
        levels = graph.constant(f"{name}.int8", self._quantized)
        scales = graph.constant(f"{name}.scales", self._scales)
        floats = graph.node("Cast", [levels], [f"{name}.cast/output"], to=TensorProto.FLOAT)
        scaled = graph.node("Mul", [floats, scales], [f"{name}.scaled/output"])
        target = graph.constant(f"constants.shape.{shape[0]}x{shape[1]}", shape)
        return graph.node("Reshape", [scaled, target], [f"{name}.floats/output"])

    def add_product(self, graph: OnnxGraph, name: str, x: str, result: str) -> str:
        floats = self._add_floats(graph, name)
        transposed = graph.node("Transpose", [floats], [f"{name}.transposed/output"], perm=[1, 0])
        return graph.node("MatMul", [x, transposed], [result])

    def add_lookup(self, graph: OnnxGraph, name: str, ids: str, result: str) -> str:
        return graph.node("Gather", [self._add_floats(graph, name), ids], [result], axis=0)


class NBitsWeight:
    """A matrix for MatMulNBits: weight = scale * (level - zero point), in blocks of 32 along the inputs."""

    def __init__(
        self, bits: int, levels: np.ndarray, scales: np.ndarray, zero_points: np.ndarray | None = None
    ) -> None:
        """`levels`: uint8 [rows, blocks, 32], less than 2^bits. `scales` and `zero_points`: f32 [rows, blocks].

        The default zero point is 2^(bits - 1). ORT 1.30 supports fractional zero points only on the CPU: its WebGPU
        kernel requires uint8, and nodes that it rejects run on the CPU.
        """
        self._bits = bits
        self._shape = levels.shape
        self._packed = levels if bits == 8 else levels[..., 0::2] | (levels[..., 1::2] << 4)
        self._scales, self._zero_points = scales, zero_points

    def add_product(self, graph: OnnxGraph, name: str, x: str, result: str) -> str:
        rows, blocks, block_size = self._shape
        inputs = [
            x,
            graph.constant(f"{name}.q{self._bits}", self._packed),
            graph.constant(f"{name}.scales", self._scales),
        ]
        if self._zero_points is not None:
            inputs.append(graph.constant(f"{name}.zero_points", self._zero_points))
        shape = {"K": blocks * block_size, "N": rows, "bits": self._bits, "block_size": block_size}
        return graph.node("MatMulNBits", inputs, [result], MICROSOFT, **shape)


def exact_q4(data: np.ndarray) -> NBitsWeight:
    """Converts Q4_1 rows without rounding: the minimum of each block becomes a fractional zero point."""
    levels, scales, minima = split_q4_1(data)
    return NBitsWeight(4, levels, scales[..., 0], (-minima / scales)[..., 0])


def rounded_q8(data: np.ndarray) -> NBitsWeight:
    """Rounds Q4_1 rows to 8 bits with the default zero point, which ORT also supports on WebGPU."""
    values = dequantize(data, GGMLQuantizationType.Q4_1)
    levels, scales = split_q8_0(quantize(values, GGMLQuantizationType.Q8_0))
    return NBitsWeight(8, (levels.astype(np.int16) + 128).astype(np.uint8), scales[..., 0])
