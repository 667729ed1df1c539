"""Units and weights that no longer lie on any path of kept weights from the input to the output."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from tf_pai.analysis.links import Channelwise, Link, channels_of, count_between, has_units, link_of
from tf_pai.layers import held_masks, unwrapped, walk, weights_of
from tf_pai.layers.paths import is_graph
from tf_pai.masks import get_masks, sparsity

Key = tuple[Any, int]  # a tensor, in one call of the graph it belongs to
TOO_LARGE = 10**9  # weights of a layer whose mask is not made


@dataclasses.dataclass(frozen=True)
class Connectivity:
    """What still carries a signal.

    Attributes:
        dead: {layer path: boolean array [units], True = dead}, of layers whose output channels are known as units.
        effective_sparsity: fraction of the weights with a mask that are pruned, or lie on no path from input to output.
        notes: what is not known.
    """

    dead: dict[str, np.ndarray]
    effective_sparsity: float
    notes: list[str]


@dataclasses.dataclass(frozen=True)
class _Step:
    """One operation of the graph, in topological order."""

    layer: Any
    link: Link
    sources: list[Key]
    targets: list[Key]


def connectivity(model: keras.Model) -> Connectivity:
    """Finds dead units: output channels on no path of kept weights from an input to an output of the model.

    A unit without kept incoming weights (a bias alone is no signal), or without kept outgoing ones, is dead, and so is
    one whose neighbours on one side are all dead. Residual additions and concatenations are followed; layers not known
    better (attention, recurrent cells, custom ones) are taken to connect everything, so no unit is wrongly called dead.
    Paths are followed by channel: a weight that only meets padding, or never wins a max-pooling, counts as connected.

    Args:
        model: a built model; of a subclassed one no graph is known, and no unit is reported.

    Example:
        >>> import keras, tf_pai
        >>> layers = [keras.Input((2,)), keras.layers.Dense(2, name="a"), keras.layers.Dense(1, name="b")]
        >>> model = tf_pai.set_masks(keras.Sequential(layers), {"b/kernel": [[1], [0]]})
        >>> connectivity(model).dead["a"].tolist()
        [False, True]

    Reference: Vysogorets & Kempe 2023, "Connectivity matters: neural network pruning through the lens of effective
    sparsity", section 3.
    """
    if any(math.prod(held.shape) > TOO_LARGE for held in held_masks(model).values()):
        note = "Dead units are not looked for: a layer is too large to exist densely."
        return Connectivity({}, sparsity(model), [note])
    masks = get_masks(model)
    matrices = {path: mask for path, mask in masks.items() if mask.ndim >= 2}
    if not is_graph(model):
        note = "The graph of a subclassed model is not known, so dead units are not looked for."
        return Connectivity({}, _sparsity(matrices, {}), [note])
    signal = _Signal(model, masks)
    dead = {path: ~(signal.alive_units[path] & signal.wanted_units[path]) for path in signal.alive_units}
    return Connectivity(dead, _sparsity(matrices, signal.effective), [])


def _sparsity(masks: dict[str, np.ndarray], effective: dict[str, int]) -> float:
    total = sum(mask.size for mask in masks.values())
    kept = sum(effective.get(path, int(np.count_nonzero(mask))) for path, mask in masks.items())
    return 1 - kept / total if total else 0.0


class _Signal:
    """Passes liveness through the graph, there and back.

    Attributes:
        alive_units: {layer path: units that a path from an input reaches}.
        wanted_units: {layer path: units from which a path reaches an output}.
        effective: {weight path: kept weights on a path}.
    """

    def __init__(self, model: keras.Model, masks: dict[str, np.ndarray]):
        self.masks = masks
        self.layer_paths = {id(unwrapped(layer)): path for path, layer in walk(model)}
        self.weight_paths = {id(variable): path for path, variable in weights_of(model).items()}
        self.alive: dict[Key, np.ndarray] = {}
        self.wanted: dict[Key, np.ndarray] = {}
        self.alive_units: dict[str, np.ndarray] = {}
        self.wanted_units: dict[str, np.ndarray] = {}
        self.effective: dict[str, int] = {}
        steps = list(self._steps(model, ()))
        for tensor in model.inputs:
            self.alive[(), id(tensor)] = np.ones(channels_of(tensor), bool)
        self._forward(steps)
        for tensor in model.outputs:
            self.wanted[(), id(tensor)] = np.ones(channels_of(tensor), bool)
        self._backward(steps)
        self._collect(steps)

    def _steps(self, graph: keras.Model, scope: tuple[int, ...]) -> Iterator[_Step]:
        """Yields the operations, those of nested graphs between links that join the tensors outside and inside."""
        functional = getattr(graph, "_functional", None) or graph
        for depth in sorted(functional._nodes_by_depth, reverse=True):
            for node in functional._nodes_by_depth[depth]:
                if node.is_input:
                    continue
                sources, targets = node.arguments.keras_tensors, node.outputs
                inner = unwrapped(node.operation)
                if is_graph(inner) and len(inner.inputs) == len(sources):
                    inside = (*scope, id(node))
                    yield from _joined(sources, scope, inner.inputs, inside)
                    yield from self._steps(inner, inside)
                    yield from _joined(inner.outputs, inside, targets, scope)
                    continue
                mask = self._mask(node.operation)
                for target in targets:
                    link = link_of(node.operation, sources, target, mask)
                    yield _Step(inner, link, [(scope, id(t)) for t in sources], [(scope, id(target))])

    def _mask(self, operation: Any) -> np.ndarray | None:
        if not has_units(operation):
            return None
        kernel = next(v for v in unwrapped(operation).variables if v.name == "kernel")
        mask = self.masks.get(self.weight_paths[id(kernel)])
        return np.ones(kernel.shape, bool) if mask is None else mask

    def _forward(self, steps: list[_Step]) -> None:
        for step in steps:
            self.alive[step.targets[0]] = step.link.forward([self.alive[key] for key in step.sources])

    def _backward(self, steps: list[_Step]) -> None:
        for step in reversed(steps):
            target = step.targets[0]
            wanted = self.wanted.setdefault(target, np.zeros(self.alive[target].size, bool))
            for key, part in zip(step.sources, step.link.backward(wanted), strict=True):
                self.wanted[key] = self.wanted[key] | part if key in self.wanted else part

    def _collect(self, steps: list[_Step]) -> None:
        """Gathers what is known of each layer, over all its calls."""
        inputs: dict[str, np.ndarray] = {}
        layers = {}
        for step in steps:
            if has_units(step.layer):
                path = self.layer_paths[id(step.layer)]
                layers[path] = step.layer
                for known, value in (
                    (inputs, self.alive[step.sources[0]]),
                    (self.alive_units, self.alive[step.targets[0]]),
                    (self.wanted_units, self.wanted[step.targets[0]]),
                ):
                    known[path] = known[path] | value if path in known else value
        for path, layer in layers.items():
            kernel = next(v for v in layer.variables if v.name == "kernel")
            mask = self.masks.get(self.weight_paths[id(kernel)])
            if mask is not None:
                count = count_between(layer, mask, inputs[path], self.wanted_units[path])
                self.effective[self.weight_paths[id(kernel)]] = count


def _joined(sources: list[Any], scope: Any, targets: list[Any], target_scope: Any) -> Iterator[_Step]:
    """Yields the steps that hand tensors over, as they are, from one scope to another."""
    for source, target in zip(sources, targets, strict=True):
        size = channels_of(source)
        yield _Step(None, Channelwise([size], size), [(scope, id(source))], [(target_scope, id(target))])
