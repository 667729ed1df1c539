"""The loss that a score differentiates: the user's, the compiled one, or the one that fits the output activation."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras.src.losses import ALL_OBJECTS_DICT
from keras.src.trainers.compile_utils import CompileLoss

from tf_pai.layers import unwrapped, walk
from tf_pai.registry import nearest


def output_activation(model: keras.Model) -> str:
    """Returns "softmax", "sigmoid" or "linear": what the model's last activation makes of its outputs."""
    outputs = getattr(model, "outputs", None)
    last = [outputs[0]._keras_history.operation] if outputs else [layer for _, layer in walk(model)][::-1]
    for layer in last:
        layer = unwrapped(layer)
        if isinstance(layer, keras.Model) and layer is not model:
            return output_activation(layer)
        if isinstance(layer, keras.layers.Softmax):
            return "softmax"
        name = getattr(getattr(layer, "activation", None), "__name__", None)
        if name is not None:
            return name if name in ("softmax", "sigmoid") else "linear"
    return "linear"


def _default_loss(activation: str, y: np.ndarray, outputs: tf.Tensor) -> keras.Loss:
    """The loss that fits an output activation and labels: cross-entropy, or squared error for real-valued labels."""
    losses, classes = keras.losses, int(outputs.shape[-1])
    integers = np.issubdtype(y.dtype, np.integer) or y.dtype == bool
    logits = activation == "linear"
    if activation == "sigmoid" or (logits and classes == 1 and integers):
        return losses.BinaryCrossentropy(from_logits=logits)
    if classes > 1 and integers and y.shape != outputs.shape:
        return losses.SparseCategoricalCrossentropy(from_logits=logits)
    if classes > 1 and y.shape == outputs.shape and np.isin(y, (0, 1)).all() and (y.sum(-1) == 1).all():
        return losses.CategoricalCrossentropy(from_logits=logits)
    if not logits:
        return losses.SparseCategoricalCrossentropy()
    return losses.MeanSquaredError()


def find_loss(model: keras.Model, loss: Any, y: Any, outputs: Any) -> CompileLoss:
    """Returns a callable (y, outputs, sample_weight) -> mean loss.

    Args:
        model: the model; its compiled loss is used where `loss` is None.
        loss: a Keras loss, name, function, or a structure of these for several outputs.
        y: labels of one batch.
        outputs: the model's outputs for that batch.
    """
    weights = None
    compiled = getattr(model, "_compile_loss", None) if model.compiled else None
    if loss is None and compiled is not None:
        loss, weights = compiled._user_loss, compiled._user_loss_weights
    if loss is None:
        activation = output_activation(model)
        pairs = zip(keras.tree.flatten(y), keras.tree.flatten(outputs), strict=True)
        flat = [_default_loss(activation, np.asarray(labels), out) for labels, out in pairs]
        loss = keras.tree.pack_sequence_as(outputs, flat) if keras.tree.is_nested(outputs) else flat[0]
    for name in keras.tree.flatten(loss):
        _check_name(name)
    return CompileLoss(loss, weights, output_names=getattr(model, "output_names", None))


def _check_name(loss: Any) -> None:
    """Raises ValueError for a name that no Keras loss has."""
    try:
        keras.losses.get(loss)
    except ValueError as error:
        raise ValueError(
            f"A loss is a Keras loss, its name, or a function. Received: loss={loss!r}."
            f"{nearest(loss, [name for name in ALL_OBJECTS_DICT if name.islower()])}"
        ) from error


def check_labels(loss: CompileLoss, y: Any, outputs: Any) -> None:
    """Raises ValueError where labels cannot belong to outputs under this loss."""
    user = keras.tree.flatten(loss._user_loss)
    labels, outs = keras.tree.flatten(y), keras.tree.flatten(outputs)
    if len(labels) != len(outs):
        raise ValueError(f"Each output has its labels. Received: {len(labels)} label arrays for {len(outs)} outputs.")
    for i, (array, out) in enumerate(zip(labels, outs, strict=True)):
        one = user[i] if len(user) == len(outs) else user[0]
        name = one if isinstance(one, str) else getattr(one, "name", type(one).__name__)
        _check_one(str(name or ""), np.asarray(array), out)


def _check_one(name: str, y: np.ndarray, outputs: tf.Tensor) -> None:
    if "sparse_categorical" in name:
        classes = int(outputs.shape[-1])
        if y.size and (np.floor(y) != y).any():
            raise ValueError(f"{name} takes integer labels. Received: labels of type {y.dtype}. Pass loss=.")
        if y.size and not 0 <= y.min() <= y.max() < classes:
            raise ValueError(
                f"Labels lie in [0, {classes}) for a model of {classes} outputs. Received: labels from {y.min()} to "
                f"{y.max()}. Change the labels or the last layer."
            )
        if y.size != np.prod(outputs.shape[:-1]):
            raise ValueError(
                f"{name} takes one class index per output row, {tuple(outputs.shape[:-1])}. Received: labels of shape "
                f"{y.shape}. One-hot labels go with loss='categorical_crossentropy'."
            )
    elif "categorical" in name and y.shape != tuple(outputs.shape):
        raise ValueError(
            f"{name} takes labels of the outputs' shape, {tuple(outputs.shape)}. Received: {y.shape}. "
            "Class indices go with loss='sparse_categorical_crossentropy'."
        )
    elif "crossentropy" not in name and y.size != np.prod(outputs.shape):
        raise ValueError(
            f"{name or 'The loss'} takes labels of the outputs' shape, {tuple(outputs.shape)}. Received: {y.shape}. "
            "Pass loss= and labels that belong together."
        )


def random_labels(loss: CompileLoss | None, activation: str, outputs: Any, generator: np.random.Generator) -> Any:
    """Returns uniform labels (standard-normal ones for a regression loss) that fit loss and outputs."""
    user = keras.tree.flatten(loss._user_loss) if loss is not None else [None]

    def draw(i: int, out: tf.Tensor) -> np.ndarray:
        one = user[i] if i < len(user) else user[0]
        name = one if isinstance(one, str) else getattr(one, "name", "") or getattr(one, "__name__", "")
        shape, classes = tuple(out.shape), int(out.shape[-1])
        if "binary" in name or (not name and (activation == "sigmoid" or classes == 1)):
            return generator.integers(0, 2, shape).astype("float32")
        indices = generator.integers(0, classes, shape[:-1])
        if "sparse" in name or not name:
            return indices
        if "categorical" in name:
            return np.eye(classes, dtype="float32")[indices]
        return generator.standard_normal(shape).astype("float32")

    flat = [draw(i, out) for i, out in enumerate(keras.tree.flatten(outputs))]
    return keras.tree.pack_sequence_as(outputs, flat) if keras.tree.is_nested(outputs) else flat[0]


def tempered(outputs: Any, activation: str, temperature: float) -> Any:
    """Returns the outputs of logits / temperature; log-probabilities are logits up to a constant."""

    def cool(out: tf.Tensor) -> tf.Tensor:
        tiny = tf.cast(1e-30, out.dtype)
        if activation == "softmax":
            return tf.nn.softmax(tf.math.log(out + tiny) / temperature)
        if activation == "sigmoid":
            return tf.sigmoid((tf.math.log(out + tiny) - tf.math.log1p(-out + tiny)) / temperature)
        return out / temperature

    return keras.tree.map_structure(cool, outputs) if temperature != 1 else outputs


def is_classification(loss: CompileLoss) -> bool:
    """Tells whether every part of the loss is a cross-entropy, whose outputs have logits."""
    names = [
        one if isinstance(one, str) else getattr(one, "name", None) or getattr(one, "__name__", "")
        for one in keras.tree.flatten(loss._user_loss)
    ]
    return all("crossentropy" in str(name) for name in names)
