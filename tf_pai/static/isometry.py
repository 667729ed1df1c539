"""Approximated isometry: a pruned network whose layers keep lengths and angles as nearly as their masks allow."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf

from tf_pai.layers import prunable_weights
from tf_pai.masks import masked_weights
from tf_pai.reporting.progress import progress


def approximate_isometry(
    model: keras.Model, steps: int = 10_000, learning_rate: float = 0.1, verbose: int | str = 0
) -> keras.Model:
    """Moves the kept weights of a pruned model towards ||(m * W)^T (m * W) - I||_F = 0, each layer for itself.

    f2 of the survey's eq. 2, for any mask: gradient descent on the (unsquared) Frobenius norm, without data. W is the
    kernel as a matrix of all inputs, kernel positions included, by outputs. Where a layer has more outputs than inputs
    the norm cannot reach 0.

    Args:
        model: a pruned model; its weights are changed in place.
        steps: number of descent steps.
        learning_rate: of the descent.
        verbose: as in `tf_pai.prune_at_init`.

    Returns:
        The model.

    Raises:
        ValueError: a model without masks, or no step.

    Example:
        >>> import keras, tf_pai
        >>> model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, name="fc")])
        >>> model = approximate_isometry(tf_pai.prune_at_init(model, "magnitude", 0.5), steps=100)
        >>> tf_pai.verify(model)
        True

    Reference: Lee et al. 2020, "A signal propagation perspective for pruning neural networks at initialization", eq. 8.
    """
    if steps < 1:
        raise ValueError(f"Approximated isometry takes at least one step. Received: steps={steps}.")
    pairs = masked_weights(model)
    kernels = [weight for path, weight in prunable_weights(model).items() if path in pairs]
    if not kernels:
        raise ValueError(
            f"Approximated isometry is for a pruned model. Received: {model.name!r} without masks. Prune it first."
        )
    for kernel in progress(kernels, "approximating isometry", verbose):
        mask = pairs[kernel.path][1].value
        matrices = [_as_matrix(value, kernel.output_axis) for value in (kernel.variable.value, mask)]
        moved = _descend(*matrices, tf.constant(steps), tf.constant(learning_rate, "float64"))
        kernel.variable.assign(_as_kernel(moved, kernel.shape, kernel.output_axis))
    return model


# In float64: the steps multiply rounding errors, which differ from one processor to the next.
def _as_matrix(value: tf.Tensor, output_axis: int) -> tf.Tensor:
    return tf.reshape(tf.cast(np.moveaxis(value, output_axis, -1), "float64"), [-1, value.shape[output_axis]])


def _as_kernel(matrix: tf.Tensor, shape: tuple[int, ...], output_axis: int) -> np.ndarray:
    others = [n for axis, n in enumerate(shape) if axis != output_axis % len(shape)]
    return np.moveaxis(matrix.numpy().reshape(*others, shape[output_axis]), -1, output_axis)


@tf.function(reduce_retracing=True)
def _descend(w: tf.Tensor, mask: tf.Tensor, steps: tf.Tensor, learning_rate: tf.Tensor) -> tf.Tensor:
    identity = tf.eye(tf.shape(w)[1], dtype=w.dtype)
    for _ in tf.range(steps):
        excess = tf.matmul(w, w, transpose_a=True) - identity
        gradient = tf.math.divide_no_nan(2 * tf.matmul(w, excess), tf.norm(excess))  # of the norm; 0 at its minimum
        w -= learning_rate * gradient * mask
    return w
