"""How often a layer uses each of its weights in one call, and what it computes beside: one rule per kind of layer."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Callable, Iterable

import keras

from tf_pai.analysis.calls import Call, Shape
from tf_pai.layers import unwrapped

_L = keras.layers


@dataclasses.dataclass(frozen=True)
class Work:
    """What one call computes per example.

    Attributes:
        uses: pairs (variable, n): each weight of the variable is multiplied and added n times.
        other: floating point operations that pruning does not remove.
    """

    uses: list[tuple[keras.Variable, int]]
    other: int


def size_of(shape: Iterable[int | None]) -> int:
    """Returns the product of sizes, an unknown one counted as 1."""
    return math.prod(1 if n is None else n for n in shape)


def named(layer: keras.Layer, name: str) -> keras.Variable:
    """Returns the variable of that name (the attribute may be a tensor, where adapters are merged)."""
    return next(variable for variable in layer.variables if variable.name == name)


def _positions(layer: keras.Layer, shape: Shape) -> int:
    return size_of(shape[2:] if layer.data_format == "channels_first" else shape[1:-1])


def _dense(layer: keras.Layer, call: Call) -> Work:
    return Work([(named(layer, "kernel"), size_of(call.inputs[0][1:-1]))], size_of(call.outputs[0][1:]))


def _convolution(layer: keras.Layer, call: Call) -> Work:
    """At each output position; a kernel of g groups has 1/g of the inputs, so groups need no rule of their own."""
    return Work([(named(layer, "kernel"), _positions(layer, call.outputs[0]))], size_of(call.outputs[0][1:]))


def _transposed(layer: keras.Layer, call: Call) -> Work:
    """Each input position is spread by the whole kernel."""
    return Work([(named(layer, "kernel"), _positions(layer, call.inputs[0]))], size_of(call.outputs[0][1:]))


def _separable(layer: keras.Layer, call: Call) -> Work:
    """A depthwise and a pointwise convolution, counted like two layers."""
    positions = _positions(layer, call.outputs[0])
    depthwise, pointwise = named(layer, "depthwise_kernel"), named(layer, "pointwise_kernel")
    between = positions * size_of(depthwise.shape[-2:])
    return Work([(depthwise, positions), (pointwise, positions)], between + size_of(call.outputs[0][1:]))


def _einsum(layer: keras.Layer, call: Call) -> Work:
    """A weight is used once per place of the input axes that the kernel does not have, the batch excepted."""
    inputs, kernel = re.split(",|->", layer.equation.replace(" ", ""))[:2]
    shape = call.inputs[0]
    before, dots, after = inputs.partition("...")
    middle = "." * (len(shape) - len(before) - len(after)) if dots else ""
    sizes = [size for axis, size in zip(before + middle + after, shape, strict=True) if axis not in kernel][1:]
    return Work([(named(layer, "kernel"), size_of(sizes))], size_of(call.outputs[0][1:]))


def _attention(layer: keras.Layer, call: Call) -> Work:
    """Four projections, and per head and pair of positions the products q.k and a*v."""
    queries, values = call.inputs[0], call.inputs[1]
    times = {"query": size_of(queries[1:-1]), "key": size_of(values[1:-1]), "value": size_of(values[1:-1])}
    times |= {"gate": times["query"], "output": times["query"]}
    uses, other = [], 0
    for name, n in times.items():
        dense = unwrapped(getattr(layer, f"_{name}_dense", None))
        if dense is not None:
            kernel = named(dense, "kernel")
            uses.append((kernel, n))
            other += n * size_of(kernel.shape[2:] if name == "output" else kernel.shape[1:])
    heads, key_size = named(unwrapped(layer._query_dense), "kernel").shape[1:]
    value_size = named(unwrapped(layer._value_dense), "kernel").shape[-1]
    return Work(uses, other + 2 * _pairs(layer, queries, values) * heads * (key_size + value_size))


def _pairs(layer: keras.Layer, queries: Shape, values: Shape) -> int:
    """Pairs of positions that attend to one another: all, or those that agree outside the attention axes."""
    axes = getattr(layer, "_attention_axes", None) or range(1, len(values) - 1)
    return size_of(queries[1:-1]) * size_of(values[axis] for axis in axes)


def _dot_attention(layer: keras.Layer, call: Call) -> Work:
    queries, values = call.inputs[:2]
    return Work([], 2 * _pairs(layer, queries, values) * (size_of(queries[-1:]) + size_of(values[-1:])))


def _embedding(layer: keras.Layer, call: Call) -> Work:
    """A look-up costs nothing; a ReversibleEmbedding that is called in reverse is a dense layer."""
    table, result = named(layer, "embeddings"), call.outputs[0]
    if len(result) > len(call.inputs[0]):
        return Work([(table, 0)], 0)
    return Work([(table, size_of(result[1:-1]))], size_of(result[1:]))


def _recurrent(layer: keras.Layer, call: Call) -> Work:
    """Every kernel of the cell at every step (and position, in ConvLSTM); one operation per gate beside."""
    kernels = [v for v in layer.cell.variables if len(v.shape) >= 2 and "bias" not in v.name]
    rank = len(kernels[0].shape) - 2
    shape = call.outputs[0]
    first = getattr(layer.cell, "data_format", None) == "channels_first"
    positions = size_of(shape[len(shape) - rank :] if first else shape[len(shape) - 1 - rank : -1])
    times = size_of(call.inputs[0][1:2]) * positions
    gates = sum(v.shape[-1] for v in kernels if v.name == "kernel")
    return Work([(v, times) for v in kernels], times * gates)


Rule = Callable[[keras.Layer, Call], Work]
_RULES: list[tuple[tuple[type, ...], Rule]] = [
    ((_L.Dense,), _dense),
    ((_L.Conv1D, _L.Conv2D, _L.Conv3D, _L.DepthwiseConv1D, _L.DepthwiseConv2D), _convolution),
    ((_L.Conv1DTranspose, _L.Conv2DTranspose, _L.Conv3DTranspose), _transposed),
    ((_L.SeparableConv1D, _L.SeparableConv2D), _separable),
    ((_L.EinsumDense,), _einsum),
    ((_L.MultiHeadAttention, _L.GroupQueryAttention), _attention),
    ((_L.Attention,), _dot_attention),
    ((_L.Embedding,), _embedding),
    ((_L.RNN,), _recurrent),
]


def work_of(call: Call) -> Work | None:
    """Returns what a call computes, or None where no rule knows the layer."""
    for kinds, rule in _RULES:
        if isinstance(call.layer, kinds):
            return rule(call.layer, call)
    return None
