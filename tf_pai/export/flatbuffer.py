"""A TFLite file as an object: its constants, who reads them, and how they are stored."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import flatbuffers
import numpy as np

from tf_pai.export.encodings import Encoding, Level, encode

_ALIGNMENT = 16  # of a constant's first byte, as the converter itself aligns it
_SPARSE_VERSION = 8  # of FULLY_CONNECTED: delegates that know dense weights only leave it alone
_TYPES = {0: np.float32, 1: np.float16, 9: np.int8}  # of schema.TensorType, those that weights have


@dataclasses.dataclass(frozen=True)
class Constant:
    """A constant tensor of the main graph.

    Attributes:
        index: its place among the graph's tensors.
        name: its name in the file.
        values: array of its shape.
        readers: operations that take it.
        kinds: what computes with it, such as "CONV_2D"; of 16-bit floats, what reads them after DEQUANTIZE.
    """

    index: int
    name: str
    values: np.ndarray
    readers: list[Any]
    kinds: list[str]


class File:
    """A TFLite file that can be changed.

    Args:
        content: the bytes of a file.
    """

    def __init__(self, content: bytes):
        from tensorflow.lite.python import schema_py_generated

        self.schema = schema_py_generated
        self.model = self.schema.ModelT.InitFromObj(self.schema.Model.GetRootAs(bytearray(content), 0))
        self.graph = self.model.subgraphs[0]
        codes = vars(self.schema.BuiltinOperator).items()
        self._names = {value: name for name, value in codes if isinstance(value, int)}

    def kind(self, operation: Any) -> str:
        """Returns an operation's name, "FULLY_CONNECTED"."""
        code = self.model.operatorCodes[operation.opcodeIndex]
        return self._names[max(code.builtinCode, code.deprecatedBuiltinCode)]

    def constants(self) -> Iterator[Constant]:
        """Yields the constants of rank 2 or more, dense so far, that are numbers and that some operation reads."""
        readers: dict[int, list[Any]] = {}
        for operation in self.graph.operators:
            for i in operation.inputs:
                readers.setdefault(int(i), []).append(operation)
        for index, tensor in enumerate(self.graph.tensors):
            data = self.model.buffers[tensor.buffer].data
            known = tensor.type in _TYPES and tensor.sparsity is None and tensor.shape is not None
            if known and data is not None and len(data) and len(tensor.shape) > 1 and index in readers:
                values = np.frombuffer(bytes(data), _TYPES[tensor.type]).reshape(tensor.shape)
                kinds = [kind for operation in readers[index] for kind in self._computing(operation, readers)]
                yield Constant(index, tensor.name.decode(), values, readers[index], kinds)

    def _computing(self, operation: Any, readers: dict[int, list[Any]]) -> list[str]:
        if self.kind(operation) != "DEQUANTIZE":
            return [self.kind(operation)]
        return [self.kind(reader) for reader in readers.get(int(operation.outputs[0]), [])]

    def store(self, constant: Constant, encoding: Encoding, decode_first: bool) -> None:
        """Stores a constant in another encoding.

        Args:
            constant: one of `constants()`.
            encoding: of its values.
            decode_first: whether an operation DENSIFY decodes it when the file is loaded; else its readers can
                compute with this encoding.
        """
        tensor = self.graph.tensors[constant.index]
        is_shared = sum(t.buffer == tensor.buffer for graph in self.model.subgraphs for t in graph.tensors) > 1
        values, levels = encode(constant.values, encoding)
        buffer = self.schema.BufferT()
        buffer.data = np.frombuffer(values.tobytes(), np.uint8)
        self.model.buffers.append(buffer)
        if not is_shared:
            self.model.buffers[tensor.buffer].data = None
        stored = self._decoded_first(constant, tensor) if decode_first else tensor
        if not decode_first:
            for operation in constant.readers:
                operation.opcodeIndex = self._code(self.kind(operation), _SPARSE_VERSION)
        tensor.buffer = 0 if decode_first else len(self.model.buffers) - 1
        stored.buffer = len(self.model.buffers) - 1
        stored.sparsity = self._sparsity(encoding, levels)

    def _decoded_first(self, constant: Constant, tensor: Any) -> Any:
        """Puts DENSIFY in front of the readers; returns the new tensor that it takes."""
        stored = self.schema.TensorT()
        for name, value in vars(tensor).items():
            setattr(stored, name, value)
        stored.name = tensor.name + b"/sparse"
        self.graph.tensors.append(stored)
        operation = self.schema.OperatorT()
        operation.opcodeIndex = self._code("DENSIFY", 1)
        operation.inputs = np.array([len(self.graph.tensors) - 1], np.int32)
        operation.outputs = np.array([constant.index], np.int32)
        operation.builtinOptionsType = self.schema.BuiltinOptions.DensifyOptions
        operation.builtinOptions = self.schema.DensifyOptionsT()
        self.graph.operators.insert(0, operation)
        return stored

    def _code(self, name: str, version: int) -> int:
        number = getattr(self.schema.BuiltinOperator, name)
        for i, code in enumerate(self.model.operatorCodes):
            if max(code.builtinCode, code.deprecatedBuiltinCode) == number and code.version == version:
                return i
        code = self.schema.OperatorCodeT()
        code.builtinCode = code.deprecatedBuiltinCode = number
        code.version = version
        self.model.operatorCodes.append(code)
        return len(self.model.operatorCodes) - 1

    def _sparsity(self, encoding: Encoding, levels: list[Level]) -> Any:
        made = self.schema.SparsityParametersT()
        made.traversalOrder = np.array(encoding.order, np.int32)
        made.blockMap = np.array(list(encoding.blocks), np.int32)
        made.dimMetadata = [self._level(level) for level in levels]
        return made

    def _level(self, level: Level) -> Any:
        made = self.schema.DimensionMetadataT()
        made.denseSize = level.size
        made.format = self.schema.DimensionType.DENSE
        if level.segments is not None and level.indices is not None:
            made.format = self.schema.DimensionType.SPARSE_CSR
            made.denseSize = 0
            made.arraySegmentsType, made.arraySegments = self._numbers(level.segments)
            made.arrayIndicesType, made.arrayIndices = self._numbers(level.indices)
        return made

    def _numbers(self, values: np.ndarray) -> tuple[int, Any]:
        name = {"uint8": "Uint8Vector", "uint16": "Uint16Vector", "int32": "Int32Vector"}[str(values.dtype)]
        made = getattr(self.schema, f"{name}T")()
        made.values = values
        return getattr(self.schema.SparseIndexVector, name), made

    def to_bytes(self) -> bytes:
        """Returns the file's bytes."""
        builder = _AligningBuilder(1024)
        builder.Finish(self.model.Pack(builder), file_identifier=b"TFL3")
        return bytes(builder.Output())


class _AligningBuilder(flatbuffers.Builder):
    """Aligns arrays of bytes, which is what constants are, to 16: kernels read them as vectors of wider types."""

    def CreateNumpyVector(self, x: np.ndarray) -> int:
        """Writes an array."""
        if x.dtype != np.uint8:
            return super().CreateNumpyVector(x)
        self.StartVector(1, x.size, _ALIGNMENT)
        start = self.head - x.size  # type: ignore[has-type]
        self.head = start
        self.Bytes[start : start + x.size] = x.tobytes()
        return self.EndVector()
