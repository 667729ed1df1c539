"""Which channels of a network can be cut out: those that are constant, or that no output depends on.

Every channel of every tensor has an id; channels that can only be cut together (the two sides of a residual addition, a
depthwise convolution's input and output, a channel before and after Flatten) have the same one.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

import keras
import numpy as np

from tf_pai.analysis.links import channels_of
from tf_pai.export.constants import ELEMENTWISE

_KERNELS = (
    *(keras.layers.Dense, keras.layers.Conv1D, keras.layers.Conv2D, keras.layers.Conv3D),
    *(keras.layers.Conv1DTranspose, keras.layers.Conv2DTranspose, keras.layers.Conv3DTranspose),
    *(keras.layers.SeparableConv1D, keras.layers.SeparableConv2D),
)
_DEPTHWISE = (keras.layers.DepthwiseConv1D, keras.layers.DepthwiseConv2D)
_CHANNELWISE = (
    *(keras.layers.BatchNormalization, keras.layers.Activation, keras.layers.ReLU, keras.layers.LeakyReLU),
    *(keras.layers.ELU, keras.layers.Dropout, keras.layers.SpatialDropout1D, keras.layers.SpatialDropout2D),
    *(keras.layers.GaussianDropout, keras.layers.MaxPooling1D, keras.layers.MaxPooling2D),
    *(keras.layers.AveragePooling1D, keras.layers.AveragePooling2D, keras.layers.GlobalAveragePooling1D),
    *(keras.layers.GlobalAveragePooling2D, keras.layers.GlobalMaxPooling1D, keras.layers.GlobalMaxPooling2D),
    *(keras.layers.ZeroPadding1D, keras.layers.ZeroPadding2D, keras.layers.Cropping1D, keras.layers.Cropping2D),
    *(keras.layers.UpSampling1D, keras.layers.UpSampling2D, keras.layers.Identity),
)
_MERGING = (keras.layers.Add, keras.layers.Subtract, keras.layers.Multiply, keras.layers.Average)


@dataclasses.dataclass(frozen=True)
class Step:
    """One call of a layer.

    Attributes:
        layer: the layer, or an operation of the graph.
        role: what it does with channels, as `role_of` says.
        sources: ids of the tensors that it takes.
        target: id of the tensor that it gives.
    """

    layer: Any
    role: str
    sources: list[int]
    target: int


class Ids:
    """Ids of channels, joined where channels can only be cut together."""

    def __init__(self) -> None:
        self.parents: list[int] = []

    def new(self, count: int) -> np.ndarray:
        """Returns `count` new ids."""
        made = np.arange(len(self.parents), len(self.parents) + count)
        self.parents += made.tolist()
        return made

    def root(self, i: int) -> int:
        """Returns the id that stands for all that `i` was joined with."""
        while self.parents[i] != i:
            self.parents[i] = self.parents[self.parents[i]]
            i = self.parents[i]
        return i

    def roots(self, ids: Iterable[int]) -> np.ndarray:
        """Returns the roots of several ids."""
        return np.array([self.root(int(i)) for i in ids], np.int64)

    def join(self, one: np.ndarray, other: np.ndarray) -> None:
        """Joins ids pairwise; the larger root gives way."""
        for a, b in zip(self.roots(one), self.roots(other), strict=True):
            a, b = self.root(int(a)), self.root(int(b))
            self.parents[max(a, b)] = min(a, b)


def is_plain(layer: Any) -> bool:
    """Tells whether the layer's channels are on the last axis, as far as it has a choice."""
    axis = getattr(layer, "axis", -1)
    return getattr(layer, "data_format", None) != "channels_first" and not isinstance(axis, (list, tuple))


def role_of(layer: Any, sources: list[Any], target: Any) -> str:
    """Returns what a layer does with channels: "kernel", "depthwise", "channelwise", "flatten", ..., or "unknown"."""
    if not is_plain(layer) or not sources or getattr(layer, "lora_enabled", False):
        return "unknown"
    if _mixes_channels(layer):
        return "unknown"
    if type(layer) in _DEPTHWISE:
        return "depthwise"
    if type(layer) in _KERNELS:
        return "unknown" if is_grouped(layer) else "kernel"
    last = len(target.shape) - 1
    if isinstance(layer, keras.layers.Concatenate):
        return "concatenate" if layer.axis in (-1, last) else "unknown"
    if isinstance(layer, keras.layers.Flatten):
        return "flatten" if None not in sources[0].shape[1:] else "unknown"
    sizes = {channels_of(tensor) for tensor in (*sources, target)}
    if type(layer) in _MERGING or type(layer).__name__ == "Add":
        return "merge" if len(sizes) == 1 and len(sources) > 1 else "unknown"
    fits = type(layer) in _CHANNELWISE and len(sizes) == 1
    return "channelwise" if fits and getattr(layer, "axis", -1) in (-1, last) else "unknown"


def is_grouped(layer: Any) -> bool:
    """Tells whether the layer is a convolution in groups."""
    return type(layer) in _KERNELS and getattr(layer, "groups", 1) != 1


def _mixes_channels(layer: Any) -> bool:
    """Tells whether the layer's activation may read several channels for one: softmax, glu, an unknown function."""
    activation = getattr(layer, "activation", None)
    if activation is None or type(activation) in _CHANNELWISE:
        return activation is not None and _mixes_channels(activation)
    return getattr(activation, "__name__", "") not in ELEMENTWISE


class Channels:
    """The channels of each tensor of a model.

    Args:
        model: a plain Sequential or functional model.

    Attributes:
        ids: which channels can only be cut together.
        of: {id of a tensor: ids of its channels}.
        pinned: {id of a channel: why it stays}, "" for inputs and outputs.
        steps: the calls of the layers, from the inputs on.
    """

    def __init__(self, model: keras.Model):
        self.ids = Ids()
        self.of: dict[int, np.ndarray] = {}
        self.pinned: dict[int, str] = {}
        self.steps = self._read(model)

    def _read(self, model: keras.Model) -> list[Step]:
        functional = getattr(model, "_functional", None) or model
        for tensor in functional.inputs:
            self._pin(self._give(tensor, self.ids.new(channels_of(tensor))))
        steps: list[Step] = []
        made: dict[int, Any] = {}
        for depth in sorted(functional._nodes_by_depth, reverse=True):
            for node in functional._nodes_by_depth[depth]:
                if not node.is_input:
                    steps += self._step(node, made)
        for tensor in functional.outputs:
            self._pin(self.of[id(tensor)])
        return steps

    def _step(self, node: Any, made: dict[int, Any]) -> list[Step]:
        layer, sources, targets = node.operation, node.arguments.keras_tensors, node.outputs
        role = role_of(layer, sources, targets[0]) if len(targets) == 1 else "unknown"
        if role in ("kernel", "depthwise", "channelwise") and len(sources) > 1:
            role = "unknown"
        given = [self.of[id(tensor)] for tensor in sources]
        for target in targets:
            ids = self._output_ids(layer, role, given, target)
            if role == "unknown":
                self._pin(ids, _unknown(layer))
            if role != "unknown" and getattr(layer, "weights", None):
                self._join_calls(made.setdefault(id(layer), (ids, given)), (ids, given))
            self._give(target, ids)
        if role == "unknown":
            for ids in given:
                self._pin(ids, _unknown(layer))
        return [Step(layer, role, [id(t) for t in sources], id(target)) for target in targets]

    def _join_calls(self, first: Any, other: Any) -> None:
        """A layer called twice has one kernel: its channels go together."""
        self.ids.join(first[0], other[0])
        for one, another in zip(first[1], other[1], strict=True):
            self.ids.join(one, another)

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

    def _pin(self, ids: np.ndarray, why: str = "") -> None:
        self.pinned = {**dict.fromkeys(ids.tolist(), why), **self.pinned}


def _unknown(layer: Any) -> str:
    groups = f" in {layer.groups} groups" if is_grouped(layer) else ""
    return f"{layer.name} ({type(layer).__name__}{groups}) reads or gives them, which is left whole"
