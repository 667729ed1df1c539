"""Which channels of a layer's inputs reach which channels of its outputs."""

from __future__ import annotations

import math
import re
from typing import Any, Protocol

import keras
import numpy as np

from tf_pai.layers import unwrapped

# One channel in, the same channel out; between several inputs, channel by channel.
_CHANNELWISE = re.compile(
    r"BatchNormalization|Activation|(Leaky|P|Thresholded)?ReLU|Relu6?|ELU|Elu|Gelu|Silu|Sigmoid|Tanh|Hard\w+|Identity"
    r"|Dropout|SpatialDropout\dD|Gaussian\w+|AlphaDropout|(Global)?(Max|Average)Pooling\dD|ZeroPadding\dD|Cropping\dD"
    r"|UpSampling\dD|Rescaling|Resizing|Flatten|Reshape|Add|Subtract|Multiply|Average|Maximum|Minimum"
)
_KERNELS = (
    *(keras.layers.Dense, keras.layers.Conv1D, keras.layers.Conv2D, keras.layers.Conv3D),
    *(keras.layers.Conv1DTranspose, keras.layers.Conv2DTranspose, keras.layers.Conv3DTranspose),
    *(keras.layers.DepthwiseConv1D, keras.layers.DepthwiseConv2D),
)


class Link(Protocol):
    """How signals pass a layer, forward ("alive") and backward ("wanted"), channel by channel."""

    def forward(self, alive: list[np.ndarray]) -> np.ndarray:
        """Returns which output channels depend on an alive input channel."""

    def backward(self, wanted: np.ndarray) -> list[np.ndarray]:
        """Returns, for each input, which channels reach a wanted output channel."""


class Kernel:
    """The connections of a kernel.

    Args:
        matrix: boolean, [input channels, output channels]: whether some weight connects the two.
    """

    def __init__(self, matrix: np.ndarray):
        self.matrix = matrix

    def forward(self, alive: list[np.ndarray]) -> np.ndarray:
        """Returns the units with a kept weight from an alive channel."""
        return self.matrix[alive[0]].any(axis=0)

    def backward(self, wanted: np.ndarray) -> list[np.ndarray]:
        """Returns the channels with a kept weight to a wanted unit."""
        return [np.asarray(self.matrix[:, wanted].any(axis=1))]


class Channelwise:
    """Output channel i depends on channel i modulo n of each input of n channels (n differs after a Flatten)."""

    def __init__(self, sizes: list[int], size: int):
        self.sizes, self.size = sizes, size

    def forward(self, alive: list[np.ndarray]) -> np.ndarray:
        """Returns the union over the inputs."""
        return np.any([np.tile(a, self.size // a.size) for a in alive], axis=0)

    def backward(self, wanted: np.ndarray) -> list[np.ndarray]:
        """Returns, for each channel, whether any place it goes to is wanted."""
        return [np.asarray(wanted.reshape(-1, size).any(axis=0)) for size in self.sizes]


class Concatenation:
    """The inputs' channels one after another."""

    def __init__(self, sizes: list[int]):
        self.sizes = sizes

    def forward(self, alive: list[np.ndarray]) -> np.ndarray:
        """Returns all channels in a row."""
        return np.concatenate(alive)

    def backward(self, wanted: np.ndarray) -> list[np.ndarray]:
        """Returns each input's part."""
        return np.split(wanted, np.cumsum(self.sizes)[:-1])


class Everything:
    """Any output channel may depend on any input channel: what is assumed of layers not known better."""

    def __init__(self, sizes: list[int], size: int):
        self.sizes, self.size = sizes, size

    def forward(self, alive: list[np.ndarray]) -> np.ndarray:
        """Returns all or none."""
        return np.full(self.size, any(a.any() for a in alive) or not alive)

    def backward(self, wanted: np.ndarray) -> list[np.ndarray]:
        """Returns all or none."""
        return [np.full(size, wanted.any()) for size in self.sizes]


def channels_of(tensor: Any) -> int:
    """Returns the size of the last axis, 1 where it is unknown."""
    return (tensor.shape[-1] if len(tensor.shape) else 1) or 1


def has_units(operation: Any) -> bool:
    """Tells whether the layer has a kernel whose output channels are units."""
    layer = unwrapped(operation)
    return isinstance(layer, _KERNELS) and getattr(layer, "data_format", None) != "channels_first"


def link_of(operation: Any, sources: list[Any], target: Any, mask: np.ndarray | None) -> Link:
    """Returns how signals pass an operation.

    Args:
        operation: a layer or operation of a graph.
        sources: its input tensors.
        target: its output tensor.
        mask: the mask of its kernel, or None where it has no units.
    """
    layer, sizes, size = unwrapped(operation), [channels_of(t) for t in sources], channels_of(target)
    if mask is not None and has_units(layer):
        return Kernel(channel_matrix(layer, mask, sizes[0]))
    if getattr(layer, "data_format", None) == "channels_first" or not sizes:
        return Everything(sizes, size)
    axis_is_last = getattr(layer, "axis", -1) in (-1, len(target.shape) - 1)
    if type(layer).__name__ == "Concatenate" and axis_is_last and sum(sizes) == size:
        return Concatenation(sizes)
    known = _CHANNELWISE.fullmatch(type(layer).__name__)
    is_softmax = getattr(getattr(layer, "activation", None), "__name__", "") == "softmax"
    if known and axis_is_last and not is_softmax and all(size % n == 0 for n in sizes) and len(set(sizes)) == 1:
        return Channelwise(sizes, size)
    return Everything(sizes, size)


def channel_matrix(layer: keras.Layer, mask: np.ndarray, inputs: int) -> np.ndarray:
    """Returns which of `inputs` input channels a kept weight connects to which output channel: [inputs, outputs]."""
    flat: np.ndarray = np.any(mask.reshape(-1, *mask.shape[-2:]), axis=0)
    if "Depthwise" in type(layer).__name__:  # kernel [..., channel, multiplier]
        multiplier = flat.shape[1]
        return flat.reshape(1, -1) & np.repeat(np.eye(inputs, dtype=bool), multiplier, axis=1)
    if "Transpose" in type(layer).__name__:  # kernel [..., out, in]
        return flat.T
    groups = inputs // flat.shape[0]
    if groups == 1:
        return flat
    per_group = flat.shape[1] // groups
    group_of_output = np.arange(flat.shape[1]) // per_group
    same_group = np.arange(groups).repeat(flat.shape[0])[:, None] == group_of_output
    return np.tile(flat, (groups, 1)) & same_group


def count_between(layer: keras.Layer, mask: np.ndarray, alive: np.ndarray, wanted: np.ndarray) -> int:
    """Returns how many kept weights connect an alive input channel with a wanted output channel."""
    counts = np.count_nonzero(mask.reshape(-1, *mask.shape[-2:]), axis=0)
    if "Depthwise" in type(layer).__name__:
        return int(counts.ravel()[np.repeat(alive, counts.shape[1]) & wanted].sum())
    if "Transpose" in type(layer).__name__:
        return int(counts[np.ix_(wanted, alive)].sum())
    groups = math.ceil(alive.size / counts.shape[0])
    pairs = zip(np.split(alive, groups), np.split(wanted, groups), np.split(counts, groups, axis=1), strict=True)
    return sum(int(count[np.ix_(a, w)].sum()) for a, w, count in pairs)
