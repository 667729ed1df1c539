"""Physically smaller networks: dead filters, units and attention heads cut out, the outputs as they were."""

from __future__ import annotations

import dataclasses
from typing import Any

import keras
import numpy as np

from tf_pai.analysis.links import channels_of
from tf_pai.export.channels import Ids, bias_of, matrix_of, role_of, stays_zero, zero_stays
from tf_pai.layers import strip
from tf_pai.layers.paths import is_graph
from tf_pai.layers.rebuilding import compile_like, copy_layer
from tf_pai.records import record_of, remember


@dataclasses.dataclass(frozen=True)
class _Step:
    """One call of a layer; tensors by their ids."""

    layer: Any
    role: str
    sources: list[int]
    target: int


def shrink(model: keras.Model, round_to: int = 1) -> keras.Model:
    """Returns a plain, physically smaller model of the same outputs.

    A channel (a convolution's filter, a Dense layer's unit) is cut out where it is zero for every input, or where no
    output depends on it; through residual additions, concatenations, depthwise convolutions, BatchNorm, pooling, and
    Flatten before Dense. So is an attention head whose values or output weights are zero. A filter that
    `structure="filter"` prunes has its bias and BatchNorm scale and shift pruned with it, and is zero also through
    padding; one whose bias is not zero stays, and so does one whose depthwise convolution or BatchNorm further on has
    a shift that is not zero: its output is a constant, not zero. What a layer that is not known better reads or gives
    keeps all channels.

    Args:
        model: a pruned or plain, built Sequential or functional model; it is not changed. Nested models inside it keep
            their shape.
        round_to: widths stay multiples of this where they were wide enough: 8 is what hardware likes.

    Raises:
        TypeError: no Sequential or functional model, whose graph is known.
        ValueError: `round_to` is no positive integer.

    Example:
        >>> import keras, tf_pai
        >>> layers = [keras.Input((4,)), keras.layers.Dense(16, "relu", name="hidden"), keras.layers.Dense(2)]
        >>> model = tf_pai.prune_at_init(keras.Sequential(layers), "magnitude", 0.75, structure="filter")
        >>> tf_pai.shrink(model).get_layer("hidden").units
        4
    """
    if not isinstance(model, keras.Model) or not is_graph(model):
        raise TypeError(
            f"shrink takes a Sequential or functional Keras 3 model, whose graph it reads. Received: "
            f"{type(model).__name__}. Write a subclassed model as keras.Model(inputs, outputs)."
        )
    if isinstance(round_to, bool) or not isinstance(round_to, int) or round_to < 1:
        raise ValueError(f"round_to is a positive integer. Received: round_to={round_to!r}. Pass 1 or 8.")
    plain = strip(model)
    cuts = _Cuts(plain, round_to)
    small = keras.models.clone_model(plain, clone_function=cuts.smaller)
    for old, new in cuts.pairs:
        cuts.copy_weights(old, new)
    compile_like(model, small)
    record = record_of(model)
    if record is not None:
        remember(small, record)
    return small


class _Cuts:
    """What stays of each tensor's channels.

    Attributes:
        pairs: (layer, its smaller copy), filled while the model is cloned.
    """

    def __init__(self, model: keras.Model, round_to: int):
        self.ids = Ids()
        self.of: dict[int, np.ndarray] = {}  # {id of a tensor: ids of its channels}
        self.pinned: set[int] = set()
        self.steps = self._read(model)
        self.by_layer: dict[int, _Step] = {id(step.layer): step for step in self.steps}
        self.pairs: list[tuple[Any, Any]] = []
        functional = getattr(model, "_functional", None) or model
        zero, wanted = self._zero(), self._wanted({id(tensor) for tensor in functional.outputs})
        self.kept = self._kept(zero, wanted, round_to)

    # Reading the graph: each tensor's channels get ids.

    def _read(self, model: keras.Model) -> list[_Step]:
        functional = getattr(model, "_functional", None) or model
        for tensor in functional.inputs:
            self._pin(self._give(tensor, self.ids.new(channels_of(tensor))))
        steps: list[_Step] = []
        made: dict[int, Any] = {}
        for depth in sorted(functional._nodes_by_depth, reverse=True):
            for node in functional._nodes_by_depth[depth]:
                if not node.is_input:
                    steps += self._step(node, made)
        for tensor in functional.outputs:
            self._pin(self.of[id(tensor)])
        return steps

    def _step(self, node: Any, made: dict[int, Any]) -> list[_Step]:
        layer, sources, targets = node.operation, node.arguments.keras_tensors, node.outputs
        role = role_of(layer, sources, targets[0]) if len(targets) == 1 else "unknown"
        if role in ("kernel", "depthwise", "channelwise") and len(sources) > 1:
            role = "unknown"
        given = [self.of[id(tensor)] for tensor in sources]
        for target in targets:
            ids = self._output_ids(layer, role, given, target)
            if role == "unknown":
                self._pin(ids)
            if id(layer) in made:  # a layer called twice has one kernel: its channels go together
                self.ids.join(made[id(layer)][0], ids)
                for one, other in zip(made[id(layer)][1], given, strict=True):
                    self.ids.join(one, other)
            made[id(layer)] = (ids, given)
            self._give(target, ids)
        if role == "unknown":
            for ids in given:
                self._pin(ids)
        return [_Step(layer, role, [id(t) for t in sources], id(target)) for target in targets]

    def _output_ids(self, layer: Any, role: str, given: list[np.ndarray], target: Any) -> np.ndarray:
        size = channels_of(target)
        if role == "channelwise":
            return given[0]
        if role == "depthwise":
            return np.repeat(given[0], size // given[0].size)
        if role == "flatten":
            return np.tile(given[0], size // given[0].size)
        if role == "concatenate":
            return np.concatenate(given)
        if role == "merge":
            for other in given[1:]:
                self.ids.join(given[0], other)
            return given[0]
        return self.ids.new(size)

    def _give(self, tensor: Any, ids: np.ndarray) -> np.ndarray:
        self.of[id(tensor)] = ids
        return ids

    def _pin(self, ids: np.ndarray) -> None:
        self.pinned |= set(ids.tolist())

    # Which channels are zero for every input, from the inputs on; which an output depends on, from the outputs back.

    def _zero(self) -> dict[int, np.ndarray]:
        zero = {key: np.zeros(ids.size, bool) for key, ids in self.of.items()}
        for step in self.steps:
            given, size = [zero[key] for key in step.sources], self.of[step.target].size
            zero[step.target] = self._zero_after(step, given, size)
        return zero

    def _zero_after(self, step: _Step, given: list[np.ndarray], size: int) -> np.ndarray:
        layer = step.layer
        if step.role == "kernel":
            reached = matrix_of(layer)[~given[0]].any(axis=0)
            return ~reached & (bias_of(layer, size) == 0) & zero_stays(layer)
        if step.role == "depthwise":
            kernel = layer.kernel.numpy()
            empty = ~(kernel != 0).reshape(-1, size).any(axis=0)
            channels = np.repeat(given[0], size // given[0].size)
            return (empty | channels) & (bias_of(layer, size) == 0) & zero_stays(layer)
        if step.role == "channelwise":
            return given[0] & stays_zero(layer, size)
        if step.role == "flatten":
            return np.tile(given[0], size // given[0].size)
        if step.role == "concatenate":
            return np.concatenate(given)
        if step.role == "merge":
            return np.any(given, axis=0) if type(layer).__name__ == "Multiply" else np.all(given, axis=0)
        return np.zeros(size, bool)

    def _wanted(self, outputs: set[int]) -> dict[int, np.ndarray]:
        wanted = {key: np.full(ids.size, key in outputs) for key, ids in self.of.items()}
        for step in reversed(self.steps):
            needed = wanted[step.target]
            for place, key in enumerate(step.sources):
                wanted[key] = wanted[key] | self._wanted_before(step, needed, place)
        return wanted

    def _wanted_before(self, step: _Step, needed: np.ndarray, place: int) -> np.ndarray:
        size = self.of[step.sources[place]].size
        if step.role == "kernel":
            return np.asarray(matrix_of(step.layer)[:, needed].any(axis=1))
        if step.role == "depthwise":
            used = (step.layer.kernel.numpy() != 0).reshape(-1, needed.size).any(axis=0)
            return np.asarray((needed & used).reshape(size, -1).any(axis=1))
        if step.role == "flatten":
            return np.asarray(needed.reshape(-1, size).any(axis=0))
        if step.role == "concatenate":
            start = sum(self.of[key].size for key in step.sources[:place])
            return needed[start : start + size]
        if step.role in ("channelwise", "merge"):
            return needed
        return np.ones(size, bool)

    # What stays.

    def _kept(self, zero: dict[int, np.ndarray], wanted: dict[int, np.ndarray], round_to: int) -> set[int]:
        kept = set(self.ids.roots(self.pinned).tolist())
        for key, ids in self.of.items():
            kept |= set(self.ids.roots(ids[wanted[key] & ~zero[key]]).tolist())
        widths = [self.ids.roots(self.of[step.target]) for step in self.steps if step.role == "kernel"]
        grown = True
        while grown:  # joined channels come back in several layers at once
            grown = any([_round_up(kept, roots, round_to) for roots in widths])
        return kept

    def stays(self, key: int) -> np.ndarray:
        """Returns the places of a tensor's channels that stay."""
        return np.flatnonzero([root in self.kept for root in self.ids.roots(self.of[key])])

    # Building.

    def smaller(self, layer: Any) -> Any:
        """Returns the smaller copy of a layer; weights follow in `copy_weights`."""
        step = self.by_layer.get(id(layer))
        copy = copy_layer(layer)
        if step is not None and isinstance(layer, keras.Layer):
            config = layer.get_config()
            if step.role == "kernel":
                config["units" if "units" in config else "filters"] = len(self.stays(step.target))
                copy = type(layer).from_config(config)
            if isinstance(layer, keras.layers.MultiHeadAttention):
                config["num_heads"] = len(_heads(layer))
                copy = type(layer).from_config(config)
            self.pairs.append((layer, copy))
        return copy

    def copy_weights(self, old: keras.Layer, new: keras.Layer) -> None:
        """Gives the smaller layer what stays of the weights."""
        step = self.by_layer[id(old)]
        values = [variable.numpy() for variable in old.variables]
        if step.role != "unknown":
            inputs, outputs = self.stays(step.sources[0]), self.stays(step.target)
            sizes = (self.of[step.sources[0]].size, self.of[step.target].size)
            values = [_cut(step, value, inputs, outputs, sizes) for value in values]
        elif isinstance(old, keras.layers.MultiHeadAttention):
            values = [_cut_heads(v, value, _heads(old)) for v, value in zip(old.variables, values, strict=True)]
        for variable, value in zip(new.variables, values, strict=True):
            variable.assign(value)


def _round_up(kept: set[int], roots: np.ndarray, round_to: int) -> bool:
    """Takes back channels until a multiple of `round_to` stays, one at least; tells whether there were any."""
    count = sum(root in kept for root in roots)
    wanted = min(len(roots), max(1, -(-count // round_to)) * round_to)
    back = [root for root in roots if root not in kept][: max(0, wanted - count)]
    kept.update(int(root) for root in back)
    return bool(back)


def _cut(step: _Step, value: np.ndarray, inputs: np.ndarray, outputs: np.ndarray, sizes: tuple[int, int]) -> np.ndarray:
    if step.role == "kernel" and value.ndim > 1:
        first, second = (outputs, inputs) if "Transpose" in type(step.layer).__name__ else (inputs, outputs)
        return np.take(np.take(value, first, axis=-2), second, axis=-1)
    if step.role == "depthwise" and value.ndim > 1:
        return np.take(value, inputs, axis=-2)
    is_vector = value.ndim == 1 and value.size == sizes[1]  # a bias, or a BatchNorm's vectors
    return value[outputs] if is_vector else value


def _heads(layer: keras.layers.MultiHeadAttention) -> np.ndarray:
    """Returns the heads with values and with output weights that are not zero; one at least."""
    values = np.any(layer._value_dense.kernel.numpy() != 0, axis=(0, 2))
    if layer._value_dense.bias is not None:
        values = values | np.any(layer._value_dense.bias.numpy() != 0, axis=1)
    used = np.any(layer._output_dense.kernel.numpy().reshape(values.size, -1) != 0, axis=1)
    alive = np.flatnonzero(values & used)
    return alive if alive.size else np.array([0])


def _cut_heads(variable: keras.Variable, value: np.ndarray, heads: np.ndarray) -> np.ndarray:
    """Kernels are [inputs, heads, size], their biases [heads, size]; the output's [heads, size, outputs], [outputs]."""
    if "attention_output" in variable.path:
        return value[heads] if value.ndim > 1 else value
    return np.take(value, heads, axis=-2)
