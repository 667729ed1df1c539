"""A model made to compute in another float type for a while, with right second derivatives."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import keras
import tensorflow as tf
from keras.src.backend.tensorflow import nn as keras_nn

from tf_pai.layers.paths import walk
from tf_pai.layers.prunable import PrunableLayer


def _moments(inputs: tf.Tensor, axes: Any, keepdims: bool) -> tuple[tf.Tensor, tf.Tensor]:
    """Mean and variance whose second derivative is right.

    `tf.nn.moments`, under Keras' Batch-, Layer- and GroupNormalization, wraps the mean in a stop_gradient, which is
    right at first order only.
    """
    mean = tf.reduce_mean(inputs, axes, keepdims=True)
    variance = tf.reduce_mean(tf.math.squared_difference(inputs, mean), axes, keepdims=keepdims)
    return mean if keepdims else tf.squeeze(mean, axes), variance


@contextlib.contextmanager
def computing_in(model: keras.Model, dtype: str) -> Iterator[None]:
    """Inside it, every float layer of `model` computes in `dtype`, and gradients reach pruned weights too.

    Variables keep their type: read them as tensors of `dtype` (`ReadAs`). Second derivatives through means and
    variances (BatchNormalization in training mode, Layer- and GroupNormalization in both) are right inside it; Keras'
    own on TensorFlow are not.

    Args:
        model: any built model.
        dtype: "float32" or "float64".
    """
    policy = keras.DTypePolicy(dtype)
    undo: list[tuple[dict, str, Any]] = []

    def change(owner: Any, name: str, value: Any) -> None:
        undo.append((owner.__dict__, name, owner.__dict__.get(name, undo)))
        owner.__dict__[name] = value

    try:
        change(keras_nn, "_compute_moments", _moments)
        for _, layer in walk(model):
            if "float" in str(layer.compute_dtype):
                change(layer, "_dtype_policy", policy)
            if isinstance(layer, PrunableLayer):
                change(layer, "mask_gradients", False)
        yield
    finally:
        for attributes, name, value in reversed(undo):
            if value is undo:  # the attribute was the class's
                del attributes[name]
            else:
                attributes[name] = value
