"""Random walks between the inputs and outputs of a Sequential or functional model, through its weights."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from tf_pai.criteria.walk_steps import Chain, Concatenated, Flattened, Kernel, Same, Step, Units, Visits
from tf_pai.layers import prunable_weights, unwrapped
from tf_pai.layers.paths import is_graph

Values = Callable[[keras.Variable], np.ndarray]
_KERNELS = (keras.layers.Dense, keras.layers.Conv1D, keras.layers.Conv2D, keras.layers.Conv3D)
_TRANSPOSED = (keras.layers.Conv1DTranspose, keras.layers.Conv2DTranspose, keras.layers.Conv3DTranspose)
_DEPTHWISE = (keras.layers.DepthwiseConv1D, keras.layers.DepthwiseConv2D)
_SEPARABLE = (keras.layers.SeparableConv1D, keras.layers.SeparableConv2D)


@dataclasses.dataclass(frozen=True)
class Edge:
    """An operation between tensors, which are called by number.

    Attributes:
        sources: the tensors it takes.
        target: the tensor it makes.
        step: how walkers get through it.
    """

    sources: tuple[int, ...]
    target: int
    step: Step


class Walks:
    """A model's graph, nested models laid open, for walkers to go through.

    Args:
        model: a Sequential or functional model.
        values: gives the values to walk by of a variable: those of the pruned network.

    Raises:
        ValueError: a model whose graph is not known, or a layer that units cannot be followed through.
    """

    def __init__(self, model: keras.Model, values: Values):
        if not is_graph(model):
            raise ValueError(
                "PHEW walks from inputs to outputs, for which the model's graph must be known: it takes Sequential "
                f"and functional models. Received: {type(model).__name__} {model.name!r}. Choose another method."
            )
        self.edges: list[Edge] = []
        self.numbers: dict[Any, int] = {}
        self.steps: dict[int, Step] = {}
        graph = _functional(model)
        self._visit(graph, (), values)
        self.inputs = [(self._number((), t), t.shape[-1]) for t in keras.tree.flatten(graph.inputs)]
        self.outputs = [(self._number((), t), t.shape[-1]) for t in keras.tree.flatten(graph.outputs)]
        self.takers: dict[int, list[tuple[int, int]]] = {}  # tensor -> (edge, slot) of who takes it
        for place, edge in enumerate(self.edges):
            for slot, source in enumerate(edge.sources):
                self.takers.setdefault(source, []).append((place, slot))

    def _number(self, calls: tuple[int, ...], tensor: Any) -> int:
        """The number of a tensor, which a model nested in two places has twice."""
        return self.numbers.setdefault((calls, id(tensor)), len(self.numbers))

    def _visit(self, graph: Any, calls: tuple[int, ...], values: Values) -> None:
        for depth in sorted(graph._nodes_by_depth, reverse=True):
            for node in graph._nodes_by_depth[depth]:
                if not node.is_input:
                    self._add(node, calls, values)

    def _add(self, node: Any, calls: tuple[int, ...], values: Values) -> None:
        layer = unwrapped(node.operation)
        sources = [self._number(calls, tensor) for tensor in node.arguments.keras_tensors]
        if not is_graph(layer):
            if id(node) not in self.steps:
                self.steps[id(node)] = _step(layer, node.arguments.keras_tensors, node.outputs, values)
            self.edges.append(Edge(tuple(sources), self._number(calls, node.outputs[0]), self.steps[id(node)]))
            return
        inner, inside = _functional(layer), (*calls, id(node))
        for tensor, source in zip(keras.tree.flatten(inner.inputs), sources, strict=True):
            self.edges.append(Edge((source,), self._number(inside, tensor), Same()))
        self._visit(inner, inside, values)
        for tensor, output in zip(keras.tree.flatten(inner.outputs), node.outputs, strict=True):
            self.edges.append(Edge((self._number(inside, tensor),), self._number(calls, output), Same()))

    def forward(self, starts: Units, generator: np.random.Generator) -> list[tuple[np.ndarray, Visits]]:
        """Walks from input units to outputs.

        Args:
            starts: units, counted over all inputs together.
            generator: of the choices on the way.

        Returns:
            (walkers, visits of these walkers) for each operation on the way.
        """
        waiting: dict[int, list[tuple[np.ndarray, np.ndarray, Units]]] = {}
        ends = {number for number, _ in self.outputs}

        def arrive(tensor: int, walkers: np.ndarray, units: Units) -> None:
            takers: list[Any] = list(self.takers.get(tensor, []))
            takers += [None] if tensor in ends else []
            choice = generator.integers(len(takers), size=len(walkers))
            for i, taker in enumerate(takers):
                if taker is not None:
                    here = choice == i
                    slots = np.full(int(here.sum()), taker[1])
                    waiting.setdefault(taker[0], []).append((walkers[here], slots, units[here]))

        for tensor, walkers, units in _spread(self.inputs, starts):
            arrive(tensor, walkers, units)
        found = []
        for place, edge in enumerate(self.edges):
            if place in waiting:
                walkers, slots, units = (np.concatenate(parts) for parts in zip(*waiting.pop(place), strict=True))
                units, visits = edge.step.forward(slots, units, generator)
                found.append((walkers, visits))
                arrive(edge.target, walkers, units)
        return found

    def backward(self, starts: Units, generator: np.random.Generator) -> list[tuple[np.ndarray, Visits]]:
        """Walks from output units (counted over all outputs together) to inputs; returns as `forward` does."""
        waiting: dict[int, list[tuple[np.ndarray, Units]]] = {}
        for tensor, walkers, units in _spread(self.outputs, starts):
            waiting.setdefault(tensor, []).append((walkers, units))
        found = []
        for edge in reversed(self.edges):
            if edge.target in waiting:
                walkers, units = (np.concatenate(parts) for parts in zip(*waiting.pop(edge.target), strict=True))
                slots, units, visits = edge.step.backward(units, generator)
                found.append((walkers, visits))
                for slot, source in enumerate(edge.sources):
                    waiting.setdefault(source, []).append((walkers[slots == slot], units[slots == slot]))
        return found


def _functional(model: Any) -> Any:
    return getattr(model, "_functional", None) or model


def _spread(ends: list[tuple[int, int]], starts: Units) -> list[tuple[int, np.ndarray, Units]]:
    """(tensor, walkers, units there) of walkers whose start is counted over several tensors together."""
    step = Concatenated([size for _, size in ends])
    slots, units, _ = step.backward(starts, np.random.default_rng())
    return [(number, np.flatnonzero(slots == i), units[slots == i]) for i, (number, _) in enumerate(ends)]


def _step(layer: Any, sources: list[Any], outputs: list[Any], values: Values) -> Step:
    """The step through an operation; raises ValueError where units cannot be followed."""
    channels = [tensor.shape[-1] for tensor in sources]
    if getattr(layer, "data_format", None) != "channels_first" and len(outputs) == 1:
        if isinstance(layer, keras.layers.Layer) and prunable_weights(layer):
            if (step := _step_through_weights(layer, values)) is not None:
                return step
        elif isinstance(layer, keras.layers.Concatenate) and layer.axis in (-1, len(outputs[0].shape) - 1):
            return Concatenated(channels)
        elif not isinstance(layer, (keras.layers.Permute, keras.layers.Dot)):
            if all(units == outputs[0].shape[-1] for units in channels):
                return Same(len(channels))
            if isinstance(layer, (keras.layers.Flatten, keras.layers.Reshape)) and len(outputs[0].shape) == 2:
                return Flattened(math.prod(sources[0].shape[1:-1]), channels[0])
    raise ValueError(
        "PHEW walks through Dense, convolution and depthwise layers, and through operations that keep, flatten or "
        f"concatenate channels. Received: {layer.name!r} ({type(layer).__name__}), which it cannot follow. "
        "Choose another method."
    )


def _step_through_weights(layer: keras.Layer, values: Values) -> Step | None:
    def kernel(variable: keras.Variable, inputs: tuple[int, ...], outputs: tuple[int, ...]) -> Kernel:
        return Kernel(variable, values(variable), inputs, outputs)

    if isinstance(layer, _KERNELS) and getattr(layer, "groups", 1) == 1:
        return kernel(layer._kernel, (-2,), (-1,))
    if isinstance(layer, _TRANSPOSED):
        return kernel(layer.kernel, (-1,), (-2,))
    if isinstance(layer, _DEPTHWISE):
        return kernel(layer.kernel, (-2,), (-2, -1))
    if isinstance(layer, _SEPARABLE):
        depthwise = kernel(layer.depthwise_kernel, (-2,), (-2, -1))
        return Chain(depthwise, kernel(layer.pointwise_kernel, (-2,), (-1,)))
    return None
