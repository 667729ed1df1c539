"""Physically smaller networks: dead filters, units and attention heads cut out, the outputs as they were."""

from __future__ import annotations

import warnings
from typing import Any

import keras
import numpy as np

from tf_pai.export.channels import Channels, Step, is_grouped
from tf_pai.export.constants import (
    absorbed,
    after_channelwise,
    after_depthwise,
    after_kernel,
    after_merge,
    connections,
)
from tf_pai.export.cutting import cut, cut_heads, heads_of
from tf_pai.layers import strip
from tf_pai.layers.copying import copy_layer
from tf_pai.layers.paths import is_graph
from tf_pai.layers.rebuilding import assign_all, compile_like
from tf_pai.records import record_of, remember

_JOINED = "they are added to channels that stay"
_NO_BIAS = ", or no bias can take in their constant (zero padding, a shared layer)"


def shrink(model: keras.Model, round_to: int = 1) -> keras.Model:
    """Returns a plain, physically smaller model of the same outputs.

    A channel (a convolution's filter, a Dense layer's unit) is cut out where no output depends on it, or where it is
    the same constant for every input; through residual additions, concatenations, depthwise and separable convolutions,
    BatchNorm, pooling, and Flatten before Dense. So is an attention head whose values or output weights are zero. What
    the next layer makes of a constant is added to its bias (it gets one where it has none), but where that layer pads
    with zeros: there only a constant zero can go. A filter that `structure="filter"` prunes has its bias and BatchNorm
    scale and shift pruned with it, and is zero also through padding. What a layer that is not known better reads or
    gives, a convolution in groups too, keeps all channels. Where pruned filters stay, a warning says why.

    Args:
        model: a pruned or plain, built Sequential or functional model; it is not changed. Nested models inside it are
            shrunk inside, and keep their inputs and outputs.
        round_to: widths stay multiples of this where they were wide enough: 8 is what hardware likes.

    Raises:
        TypeError: no Sequential or functional model, whose graph is known.
        ValueError: the model is not built, or `round_to` is no positive integer.

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
    if not model.built:
        raise ValueError(f"shrink takes a built model. Received: {model.name!r}. Call it on data first.")
    if isinstance(round_to, bool) or not isinstance(round_to, int) or round_to < 1:
        raise ValueError(f"round_to is a positive integer. Received: round_to={round_to!r}. Pass 1 or 8.")
    plain = strip(model)
    left: dict[str, list[str]] = {}
    small = _smaller(plain, round_to, left)
    if left:
        whole = "; ".join(f"{', '.join(names)}: {reason}" for reason, names in left.items())
        warnings.warn(f"shrink left pruned filters in place. {whole}.", stacklevel=2)
    compile_like(model, small)
    record = record_of(model)
    if record is not None:
        remember(small, record)
    return small


def _smaller(model: keras.Model, round_to: int, left: dict[str, list[str]]) -> keras.Model:
    cuts = _Cuts(model, round_to, left)
    small = keras.models.clone_model(model, clone_function=cuts.smaller)
    for old, new in cuts.pairs:
        cuts.copy_weights(old, new)
    return small


class _Cuts:
    """What stays of each tensor's channels.

    Args:
        model: a plain model.
        round_to: as in `shrink`.
        left: {reason: names of layers whose pruned filters stay}, filled here.

    Attributes:
        pairs: (layer, its smaller copy), filled while the model is cloned.
    """

    def __init__(self, model: keras.Model, round_to: int, left: dict[str, list[str]]):
        self.round_to, self.left = round_to, left
        self.channels = Channels(model)
        self.by_layer: dict[int, Step] = {id(step.layer): step for step in self.channels.steps}
        self.pairs: list[tuple[Any, Any]] = []
        self.constants = self._constants()
        self.kept = self._kept(self._wanted({id(tensor) for tensor in model.outputs}))
        self._say_what_is_left()
        widths = [
            self.channels.ids.roots(self.channels.of[step.target])
            for step in self.channels.steps
            if step.role == "kernel"
        ]
        grown = True
        while grown:  # joined channels come back in several layers at once
            grown = any([_round_up(self.kept, roots, round_to) for roots in widths])

    # Which channels are constant, from the inputs on; which an output depends on, from the outputs back.

    def _constants(self) -> dict[int, np.ndarray]:
        values = {key: np.full(ids.size, np.nan) for key, ids in self.channels.of.items()}
        for step in self.channels.steps:
            found = self._constant_after(step, [values[key] for key in step.sources])
            values[step.target] = np.where(np.isfinite(found), found, np.nan)
        return values

    def _constant_after(self, step: Step, given: list[np.ndarray]) -> np.ndarray:
        size = self.channels.of[step.target].size
        if step.role == "kernel":
            return after_kernel(step.layer, self._readable(step.layer, given[0]))
        if step.role == "depthwise":
            return after_depthwise(step.layer, given[0])
        if step.role == "channelwise":
            return after_channelwise(step.layer, given[0])
        if step.role == "flatten":
            return np.tile(given[0], size // given[0].size)
        if step.role == "concatenate":
            return np.concatenate(given)
        return after_merge(step.layer, given) if step.role == "merge" else np.full(size, np.nan)

    def _readable(self, layer: Any, given: np.ndarray) -> np.ndarray:
        """Constants that the layer's bias can take in: of a layer that is called twice, zeros only."""
        is_shared = sum(step.layer is layer for step in self.channels.steps) > 1
        return np.where(given == 0, 0, np.nan) if is_shared else given

    def _wanted(self, outputs: set[int]) -> dict[int, np.ndarray]:
        wanted = {key: np.full(ids.size, key in outputs) for key, ids in self.channels.of.items()}
        for step in reversed(self.channels.steps):
            needed = wanted[step.target]
            for place, key in enumerate(step.sources):
                wanted[key] = wanted[key] | self._wanted_before(step, needed, place)
        return wanted

    def _wanted_before(self, step: Step, needed: np.ndarray, place: int) -> np.ndarray:
        size = self.channels.of[step.sources[place]].size
        if step.role == "kernel":
            return np.asarray(connections(step.layer)[0][:, needed].any(axis=1))
        if step.role == "depthwise":
            used = (step.layer.kernel.numpy() != 0).reshape(-1, needed.size).any(axis=0)
            return np.asarray((needed & used).reshape(size, -1).any(axis=1))
        if step.role == "flatten":
            return np.asarray(needed.reshape(-1, size).any(axis=0))
        if step.role == "concatenate":
            start = sum(self.channels.of[key].size for key in step.sources[:place])
            return needed[start : start + size]
        if step.role in ("channelwise", "merge"):
            return needed
        return np.ones(size, bool)

    # What stays.

    def _kept(self, wanted: dict[int, np.ndarray]) -> set[int]:
        kept = set(self.channels.ids.roots(self.channels.pinned).tolist())
        for key, ids in self.channels.of.items():
            kept |= set(self.channels.ids.roots(ids[wanted[key] & np.isnan(self.constants[key])]).tolist())
        for step in self.channels.steps:
            if step.role == "kernel":  # constants that it can not take in
                (key,) = step.sources
                needed = connections(step.layer)[0][:, wanted[step.target]].any(axis=1)
                known = absorbed(step.layer, self._readable(step.layer, self.constants[key]))
                kept |= set(self.channels.ids.roots(self.channels.of[key][needed & ~known]).tolist())
        return kept

    def _say_what_is_left(self) -> None:
        """Adds the layers with filters that have no weight and stay, and why they do."""
        why = {self.channels.ids.root(key): reason for key, reason in reversed(self.channels.pinned.items())}
        for step in self.channels.steps:
            if step.role != "kernel" and not is_grouped(step.layer):
                continue
            empty = ~connections(step.layer)[0].any(axis=0)
            values = self.constants[step.target]
            for root, value in zip(
                self.channels.ids.roots(self.channels.of[step.target][empty]), values[empty], strict=True
            ):
                reason = why.get(int(root), _JOINED + (_NO_BIAS if value else ""))
                names = self.left.setdefault(reason, []) if root in self.kept and reason else []
                if step.layer.name not in names:
                    names.append(step.layer.name)

    def stays(self, key: int) -> np.ndarray:
        """Returns the places of a tensor's channels that stay."""
        return np.flatnonzero([root in self.kept for root in self.channels.ids.roots(self.channels.of[key])])

    # Building.

    def smaller(self, layer: Any) -> Any:
        """Returns the smaller copy of a layer; weights follow in `copy_weights`."""
        step = self.by_layer.get(id(layer))
        if isinstance(layer, keras.Model) and is_graph(layer):
            return _smaller(layer, self.round_to, self.left)
        changes: dict[str, Any] = {}
        if step is not None and step.role == "kernel":
            changes["units" if hasattr(layer, "units") else "filters"] = len(self.stays(step.target))
            changes["use_bias"] = layer.use_bias or bool(np.any(self._taken_in(step)))
        if isinstance(layer, keras.layers.MultiHeadAttention):
            changes["num_heads"] = len(heads_of(layer))
        copy = copy_layer(layer, changes)
        if step is not None and isinstance(layer, keras.Layer):
            self.pairs.append((layer, copy))
        return copy

    def _taken_in(self, step: Step) -> np.ndarray:
        """Returns what the bias of a layer gets of the constants that are cut out before it."""
        (key,) = step.sources
        gone = np.isin(np.arange(self.channels.of[key].size), self.stays(key), invert=True)
        values = np.where(gone, np.nan_to_num(self._readable(step.layer, self.constants[key])), 0)
        return (values @ connections(step.layer)[1])[self.stays(step.target)]

    def copy_weights(self, old: keras.Layer, new: keras.Layer) -> None:
        """Gives the smaller layer what stays of the weights."""
        step = self.by_layer[id(old)]
        values = [variable.numpy() for variable in old.variables]
        if step.role != "unknown":
            inputs, outputs = self.stays(step.sources[0]), self.stays(step.target)
            values = [
                cut(step, variable, inputs, outputs, self.channels.of[step.target].size) for variable in old.variables
            ]
            if step.role == "kernel" and new.use_bias:
                extra = self._taken_in(step)
                values = [*values[:-1], values[-1] + extra] if old.use_bias else [*values, extra]
        elif isinstance(old, keras.layers.MultiHeadAttention):
            values = [cut_heads(old, variable, heads_of(old)) for variable in old.variables]
        assign_all(new, values)


def _round_up(kept: set[int], roots: np.ndarray, round_to: int) -> bool:
    """Takes back channels until a multiple of `round_to` stays, one at least; tells whether there were any."""
    count = sum(root in kept for root in roots)
    wanted = min(len(roots), max(1, -(-count // round_to)) * round_to)
    back = [root for root in roots if root not in kept][: max(0, wanted - count)]
    kept.update(int(root) for root in back)
    return bool(back)
