"""Which channels of a network can be cut out: those that are zero for every input, or that no output depends on.

Every channel of every tensor has an id; channels that can only be cut together (the two sides of a residual addition, a
depthwise convolution's input and output, a channel before and after Flatten) have the same one.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import keras
import numpy as np

from tf_pai.analysis.links import channels_of

_KERNELS = (
    *(keras.layers.Dense, keras.layers.Conv1D, keras.layers.Conv2D, keras.layers.Conv3D),
    *(keras.layers.Conv1DTranspose, keras.layers.Conv2DTranspose, keras.layers.Conv3DTranspose),
)
_DEPTHWISE = (keras.layers.DepthwiseConv1D, keras.layers.DepthwiseConv2D)
_ZERO_STAYS = {"linear", "relu", "relu6", "leaky_relu", "elu", "selu", "gelu", "silu", "swish", "tanh", "softsign"} | {
    *("hard_tanh", "hard_shrink", "soft_shrink", "tanh_shrink", "celu", "hard_silu", "hard_swish")
}
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
    if not is_plain(layer) or not sources:
        return "unknown"
    if type(layer) in _DEPTHWISE:
        return "depthwise"
    if type(layer) in _KERNELS:
        return "kernel" if getattr(layer, "groups", 1) == 1 and not _is_softmax(layer) else "unknown"
    last = len(target.shape) - 1
    if isinstance(layer, keras.layers.Concatenate):
        return "concatenate" if layer.axis in (-1, last) else "unknown"
    if isinstance(layer, keras.layers.Flatten):
        return "flatten" if None not in sources[0].shape[1:] else "unknown"
    sizes = {channels_of(tensor) for tensor in (*sources, target)}
    if type(layer) in _MERGING or type(layer).__name__ == "Add":
        return "merge" if len(sizes) == 1 and len(sources) > 1 else "unknown"
    fits = type(layer) in _CHANNELWISE and len(sizes) == 1 and not _is_softmax(layer)
    return "channelwise" if fits and getattr(layer, "axis", -1) in (-1, last) else "unknown"


def _is_softmax(layer: Any) -> bool:
    return getattr(getattr(layer, "activation", None), "__name__", "") in ("softmax", "log_softmax")


def zero_stays(layer: Any) -> bool:
    """Tells whether the layer's activation gives 0 for 0."""
    activation = getattr(layer, "activation", None)
    return activation is None or getattr(activation, "__name__", "") in _ZERO_STAYS


def matrix_of(layer: Any) -> np.ndarray:
    """Returns which input channel a weight that is not zero connects to which output channel, [inputs, outputs]."""
    kernel = layer.kernel.numpy()
    flat = np.asarray((kernel != 0).reshape(-1, *kernel.shape[-2:]).any(axis=0))
    return flat.T if "Transpose" in type(layer).__name__ else flat


def bias_of(layer: Any, outputs: int) -> np.ndarray:
    """Returns the layer's bias, zeros where it has none."""
    bias = getattr(layer, "bias", None)
    return np.zeros(outputs) if bias is None else bias.numpy()


def stays_zero(layer: Any, channels: int) -> np.ndarray:
    """Returns of which channels a channelwise layer gives 0 for 0."""
    if isinstance(layer, keras.layers.BatchNormalization):
        scale = layer.gamma.numpy() if layer.scale else np.ones(channels)
        shift = layer.beta.numpy() if layer.center else np.zeros(channels)
        return (shift == 0) & ((layer.moving_mean.numpy() == 0) | (scale == 0))
    return np.full(channels, zero_stays(layer))
