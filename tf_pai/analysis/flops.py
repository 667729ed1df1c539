"""Floating point operations of a forward pass and of training, dense and with the kept weights only."""

from __future__ import annotations

import collections
import dataclasses

import keras

from tf_pai.analysis.calls import Call, layer_calls
from tf_pai.analysis.work import Work, size_of, work_of
from tf_pai.layers import kept_counts, prunable_weights, walk, weight_shapes, weights_of
from tf_pai.registry import nearest

UNKNOWN = "unknown layer: each weight counted once"
UNKNOWN_LENGTH = "variable length: counted for one position"


@dataclasses.dataclass(frozen=True)
class LayerFlops:
    """FLOPs of one layer, per example.

    Attributes:
        uses: {weight path: how often each weight of it is multiplied and added in one forward pass}.
        sizes: {weight path: number of weights}.
        kept: {weight path: number of kept weights}; a fraction where densities were given.
        other: operations that pruning does not remove.
        note: what the count does not know, or "".
    """

    uses: dict[str, int]
    sizes: dict[str, int]
    kept: dict[str, float]
    other: int
    note: str = ""

    @property
    def dense(self) -> int:
        """FLOPs of the forward pass with all weights."""
        return self.other + sum(2 * n * self.sizes[path] for path, n in self.uses.items())

    @property
    def sparse(self) -> float:
        """FLOPs of the forward pass with the kept weights only."""
        return self.other + sum(2 * n * self.kept[path] for path, n in self.uses.items())


@dataclasses.dataclass(frozen=True)
class ModelFlops:
    """FLOPs of a forward pass, per example.

    Attributes:
        layers: {layer path: LayerFlops} of the layers that compute with weights, or attend, in the graph's order.
        notes: what the count as a whole does not know.
    """

    layers: dict[str, LayerFlops]
    notes: list[str]

    @property
    def dense(self) -> int:
        """FLOPs with all weights."""
        return sum(layer.dense for layer in self.layers.values())

    @property
    def sparse(self) -> float:
        """FLOPs with the kept weights only."""
        return sum(layer.sparse for layer in self.layers.values())

    def by_weight(self) -> dict[str, tuple[float, float]]:
        """Returns {weight path: (dense, sparse)}; what else a layer computes is counted with its first weight."""
        found: dict[str, tuple[float, float]] = {}
        for layer in self.layers.values():
            other = layer.other
            for path, n in layer.uses.items():
                found[path] = (2 * n * layer.sizes[path] + other, 2 * n * layer.kept[path] + other)
                other = 0
        return found


def count_flops(model: keras.Model, densities: dict[str, float] | None = None) -> ModelFlops:
    """Counts the FLOPs of one forward pass on one example.

    flops = 2 * kept * uses + outputs: a multiplication and an addition per kept weight and use, and one operation per
    output (a dot product of n weights has n - 1 additions; a bias and a ReLU make it 2n + 1). BatchNorm is the bias
    that it folds into. A layer without a rule counts each weight once, and carries a note.

    Args:
        model: a built model, pruned or not.
        densities: {weight path: fraction kept} to count with in place of the model's masks; others count as dense.

    Raises:
        ValueError: a path in `densities` that the model does not have.

    Example:
        >>> import keras
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, name="fc")])
        >>> flops = count_flops(model, {"fc/kernel": 0.5})
        >>> flops.dense, flops.sparse
        (27, 15.0)

    Reference: Evci et al. 2020, "Rigging the lottery", appendix H, and the counting code of its authors.

    Differs from the paper in: recurrent, attention and einsum layers, which it does not have, are counted too.
    """
    sizes = {path: size_of(shape) for path, shape in weight_shapes(model).items()}
    kept = _kept_counts(model) if densities is None else _counts(densities, sizes)
    calls, notes = _calls(model)
    uses = _Uses(model)
    for call in calls:
        uses.add(call)
    uses.add_rest()
    layers = {}
    for layer, used in uses.layers.items():
        of_layer = {path: sizes[path] for path in used}
        kept_of_layer = {path: kept.get(path, size) for path, size in of_layer.items()}
        layers[layer] = LayerFlops(used, of_layer, kept_of_layer, uses.other[layer], uses.notes.get(layer, ""))
    return ModelFlops(layers, notes)


class _Uses:
    """Adds up the work of calls: {layer path: {weight path: uses}}, the other operations, and notes."""

    def __init__(self, model: keras.Model):
        self.layer_paths = {id(layer): path for path, layer in walk(model)}
        self.weight_paths = {id(variable): path for path, variable in weights_of(model).items()}
        self.prunable = prunable_weights(model)
        self.layers: dict[str, dict[str, int]] = {}
        self.other: collections.Counter = collections.Counter()
        self.notes: dict[str, str] = {}

    def add(self, call: Call) -> None:
        work, layer = work_of(call), self.layer_paths[id(call.layer)]
        if work is None:
            variables = [weight.variable for weight in prunable_weights(call.layer).values()]
            if not variables:  # activations, pooling, normalisation: within the one operation per output
                return
            work = Work([(variable, 1) for variable in variables], 0)
            self.notes[layer] = UNKNOWN
        elif any(n is None for shape in call.inputs for n in shape[1:]):
            self.notes[layer] = UNKNOWN_LENGTH
        used = self.layers.setdefault(layer, {})
        for variable, n in work.uses:
            path = self.weight_paths[id(variable)]
            used[path] = used.get(path, 0) + n * call.times
        self.other[layer] += work.other * call.times

    def add_rest(self) -> None:
        """Counts once each prunable weight that no call used: a layer's own, beside those of its parts."""
        known = {path for used in self.layers.values() for path in used}
        for path, weight in self.prunable.items():
            if path not in known:
                layer = self.layer_paths[id(weight.owner)]
                self.layers.setdefault(layer, {})[path] = 1
                self.notes[layer] = UNKNOWN


def _calls(model: keras.Model) -> tuple[list[Call], list[str]]:
    try:
        return layer_calls(model), []
    except Exception as error:  # a user's own `call` may do anything, and a count is no reason to stop
        reason = str(error).partition("\n")[0]
        return [], [f"The model could not be traced, so each weight is counted once: {type(error).__name__}: {reason}"]


def _kept_counts(model: keras.Model) -> dict[str, float]:
    return {path: kept for path, (kept, _) in kept_counts(model).items()}


def _counts(densities: dict[str, float], sizes: dict[str, int]) -> dict[str, float]:
    for path in densities:
        if path not in sizes:
            raise ValueError(
                f"A density belongs to a weight of the model. Received: {path!r}.{nearest(path, list(sizes))}"
            )
    return {path: density * sizes[path] for path, density in densities.items()}


def training_flops(
    dense_forward: float, sparse_forward: float, update_every: int | None = None, examples: int = 1
) -> float:
    """Returns the FLOPs of training on `examples` examples.

    static masks:   3 * f_S  (the backward pass costs two forward passes)
    dynamic masks:  (3 * f_S * T + 2 * f_S + f_D) / (T + 1)  (the gradient of all weights once in T + 1 steps)
    dense training: 3 * f_D

    Args:
        dense_forward: f_D, FLOPs of a forward pass with all weights.
        sparse_forward: f_S, FLOPs of one with the kept weights; `dense_forward` again for dense training.
        update_every: T, steps between two updates that need the gradient of all weights (RigL); 0 where every
            step does (SNFS); None where none does (static masks, SET).
        examples: examples seen in the whole run, each epoch counted.

    Raises:
        ValueError: a negative count.

    Example:
        >>> training_flops(100, 10), training_flops(100, 10, update_every=0), training_flops(100, 10, update_every=99)
        (30, 120.0, 30.9)

    Reference: Evci et al. 2020, "Rigging the lottery", appendix H.
    """
    for name, value in (("update_every", update_every), ("examples", examples)):
        if value is not None and value < 0:
            raise ValueError(f"{name} is a count, 0 or more. Received: {name}={value!r}.")
    per_example = 3 * sparse_forward
    if update_every is not None:
        per_example = (per_example * update_every + 2 * sparse_forward + dense_forward) / (update_every + 1)
    return per_example * examples
