"""Channels that have the same value for every input, at every position: pruned filters, above all.

Values are arrays of one number per channel, NaN where a channel depends on the input. What a kernel reads of such a
channel is a constant as well: it is added to the bias, and the channel can go.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

ELEMENTWISE = {
    *("linear", "relu", "relu6", "leaky_relu", "elu", "selu", "gelu", "silu", "swish", "tanh", "softsign", "hard_tanh"),
    *("hard_shrink", "soft_shrink", "tanh_shrink", "celu", "hard_silu", "hard_swish", "sigmoid", "hard_sigmoid"),
    *("log_sigmoid", "softplus", "exponential", "mish", "squareplus", "sparse_plus", "sparse_sigmoid"),
}
_BORDERED = (keras.layers.ZeroPadding1D, keras.layers.ZeroPadding2D)
_ACTIVATING = (keras.layers.ReLU, keras.layers.LeakyReLU, keras.layers.ELU)


def connections(layer: Any) -> tuple[np.ndarray, np.ndarray]:
    """Returns which input channel a weight connects to which output channel, and their sums: two of [inputs, outputs].

    The sum of the weights between two channels is what the second gets of a first that is 1 everywhere.
    """
    if hasattr(layer, "pointwise_kernel"):
        inputs, multiplier = layer.depthwise_kernel.shape[-2:]
        first = layer.depthwise_kernel.numpy().reshape(-1, inputs, multiplier)
        second = layer.pointwise_kernel.numpy().reshape(inputs, multiplier, -1)
        connected = np.einsum("im,imo->io", (first != 0).any(axis=0), second != 0)
        return connected > 0, np.einsum("im,imo->io", first.sum(axis=0, dtype=np.float64), second)
    kernel = layer.kernel.numpy()
    flat = kernel.reshape(-1, *kernel.shape[-2:])
    connected, sums = np.asarray((flat != 0).any(axis=0)), flat.sum(axis=0, dtype=np.float64)
    return (connected.T, sums.T) if "Transpose" in type(layer).__name__ else (connected, sums)


def absorbed(layer: Any, given: np.ndarray) -> np.ndarray:
    """Returns of which input channels a kernel can add what it reads to its bias.

    Zeros always; other constants where no padding takes part: it is zero, not the constant.
    """
    is_even = isinstance(layer, keras.layers.Dense) or (
        "Transpose" not in type(layer).__name__ and (layer.padding == "valid" or set(layer.kernel_size) == {1})
    )
    return (given == 0) | (is_even & ~np.isnan(given))


def after_kernel(layer: Any, given: np.ndarray) -> np.ndarray:
    """Returns the values after a Dense layer or a convolution."""
    connected, sums = connections(layer)
    known = absorbed(layer, given)
    value = np.where(known, given, 0) @ sums + bias_of(layer, sums.shape[1])
    return np.where(connected[~known].any(axis=0), np.nan, _activated(layer, value))


def after_depthwise(layer: Any, given: np.ndarray) -> np.ndarray:
    """Returns the values after a depthwise convolution."""
    kernel = layer.kernel.numpy()
    sums = kernel.reshape(-1, *kernel.shape[-2:]).sum(axis=0, dtype=np.float64).ravel()
    empty = ~(kernel != 0).reshape(-1, sums.size).any(axis=0)
    known = np.repeat(absorbed(layer, given), kernel.shape[-1])
    given = np.repeat(given, kernel.shape[-1])
    value = np.where(known & ~empty, given, 0) * sums + bias_of(layer, sums.size)
    return np.where(known | empty, _activated(layer, value), np.nan)


def after_channelwise(layer: Any, given: np.ndarray) -> np.ndarray:
    """Returns the values after BatchNorm, an activation, pooling, padding, ..."""
    if isinstance(layer, keras.layers.BatchNormalization):
        scale = 1 / np.sqrt(layer.moving_variance.numpy() + layer.epsilon)
        scale = scale * layer.gamma.numpy() if layer.scale else scale
        return (given - layer.moving_mean.numpy()) * scale + (layer.beta.numpy() if layer.center else 0)
    if isinstance(layer, _BORDERED):
        return np.where(given == 0, 0, np.nan)
    if isinstance(layer, _ACTIVATING):
        return _where_known(layer.call, given)
    return _activated(layer, given)


def after_merge(layer: Any, given: list[np.ndarray]) -> np.ndarray:
    """Returns the values after Add, Subtract, Multiply or Average; 0 times what depends on the input is 0."""
    kind = type(layer).__name__
    if kind == "Multiply":
        return np.where(np.any(np.equal(given, 0), axis=0), 0, np.prod(given, axis=0))
    if kind == "Subtract":
        return given[0] - given[1]
    return np.sum(given, axis=0) / (len(given) if kind == "Average" else 1)


def bias_of(layer: Any, outputs: int) -> np.ndarray:
    """Returns the layer's bias, zeros where it has none."""
    bias = getattr(layer, "bias", None)
    return np.zeros(outputs) if bias is None else bias.numpy()


def _activated(layer: Any, values: np.ndarray) -> np.ndarray:
    activation = getattr(layer, "activation", None)
    if activation is None:
        return values
    if getattr(activation, "__name__", "") not in ELEMENTWISE:
        return np.full(values.shape, np.nan)
    return _where_known(activation, values)


def _where_known(function: Any, values: np.ndarray) -> np.ndarray:
    made = keras.ops.convert_to_numpy(function(keras.ops.convert_to_tensor(np.nan_to_num(values), "float32")))
    return np.where(np.isnan(values), np.nan, made)
