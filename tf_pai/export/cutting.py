"""The weights of a smaller layer: what stays of those of the layer it comes from."""

from __future__ import annotations

import keras
import numpy as np

from tf_pai.export.channels import Step


def cut(step: Step, variable: keras.Variable, inputs: np.ndarray, outputs: np.ndarray, size: int) -> np.ndarray:
    """Returns what stays of a variable.

    Args:
        step: a call of the layer that has it.
        variable: one of the layer's variables.
        inputs: places of the input channels that stay.
        outputs: places of the output channels that stay.
        size: how many output channels there were.
    """
    value = variable.numpy()
    if hasattr(step.layer, "pointwise_kernel") and value.ndim > 1:
        if variable is step.layer.depthwise_kernel:
            return np.take(value, inputs, axis=-2)
        middle = inputs[:, None] * step.layer.depth_multiplier + np.arange(step.layer.depth_multiplier)
        return np.take(np.take(value, middle.ravel(), axis=-2), outputs, axis=-1)
    if step.role == "kernel" and value.ndim > 1:
        first, second = (outputs, inputs) if "Transpose" in type(step.layer).__name__ else (inputs, outputs)
        return np.take(np.take(value, first, axis=-2), second, axis=-1)
    if step.role == "depthwise" and value.ndim > 1:
        return np.take(value, inputs, axis=-2)
    is_weight = any(variable is weight for weight in step.layer.weights)  # and no seed of random numbers
    is_vector = is_weight and value.ndim == 1 and value.size == size  # a bias, or a BatchNorm's vectors
    return value[outputs] if is_vector else value


def heads_of(layer: keras.layers.MultiHeadAttention) -> np.ndarray:
    """Returns the heads with values and output weights that are not zero, one at least; all, if it gives scores."""
    if any(len(node.outputs) > 1 for node in layer._inbound_nodes):  # scores have an axis of heads
        return np.arange(layer.num_heads)
    values = np.any(layer._value_dense.kernel.numpy() != 0, axis=(0, 2))
    if layer._value_dense.bias is not None:
        values = values | np.any(layer._value_dense.bias.numpy() != 0, axis=1)
    used = np.any(layer._output_dense.kernel.numpy().reshape(values.size, -1) != 0, axis=1)
    alive = np.flatnonzero(values & used)
    return alive if alive.size else np.array([0])


def cut_heads(layer: keras.layers.MultiHeadAttention, variable: keras.Variable, heads: np.ndarray) -> np.ndarray:
    """Returns what stays of a variable of an attention layer; seeds of random numbers stay as they are.

    Kernels are [inputs, heads, size], their biases [heads, size]; the output's [heads, size, outputs], [outputs].
    """
    value = variable.numpy()
    before = (layer._query_dense, layer._key_dense, layer._value_dense)
    if any(variable is weight for dense in before for weight in dense.weights):
        return np.take(value, heads, axis=-2)
    return value[heads] if variable is layer._output_dense.kernel else value
