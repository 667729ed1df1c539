"""Batches to score on: the user's, cut to what memory allows, or random ones where the user gave none."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tf_pai.layers import walk

SYNTHETIC_BATCH = 128


@dataclasses.dataclass(frozen=True)
class Batch:
    """A batch to score on.

    Attributes:
        x: inputs, of the structure the model takes.
        y: labels, of the structure the loss takes; None where the criterion needs no labels.
        sample_weight: weights of the examples, or None.
        share: what the gradient of this batch's mean loss counts: 1 for a batch of a dataset, its part of all examples
            for a micro-batch of arrays.
    """

    x: Any
    y: Any
    sample_weight: Any = None
    share: float = 1.0


def batches_of(data: Any, limit: int | None, micro_batch: int | None) -> list[Batch]:
    """Returns the batches of `data`.

    Args:
        data: a tf.data.Dataset or keras.utils.PyDataset of (x, y[, sample_weight]) batches, or one such tuple of
            arrays, which is one logical batch.
        limit: how many batches of a dataset are used; None for all.
        micro_batch: examples per piece of a logical batch; None for all in one.

    Raises:
        ValueError: no example; inputs and labels of different lengths; limit below 1.
        TypeError: `data` is nothing of the above.
    """
    if limit is not None and limit < 1:
        raise ValueError(f"At least one batch is scored. Received: batches={limit}.")
    if isinstance(data, (tuple, list)) and len(data) in (2, 3):
        return _pieces(data, micro_batch)
    if isinstance(data, tf.data.Dataset):
        items: Iterator[Any] = iter(data if limit is None else data.take(limit))
    elif isinstance(data, keras.utils.PyDataset):
        count = len(data) if limit is None else min(limit, len(data))
        items = (data[i] for i in range(count))
    else:
        raise TypeError(
            "data is a tf.data.Dataset or keras.utils.PyDataset of (x, y) batches, or a pair (x, y) of arrays. "
            f"Received: {type(data).__name__}."
        )
    batches = [_batch(item) for item in items]
    if not batches:
        raise ValueError("data holds at least one batch. Received: an empty dataset.")
    for batch in batches:
        _length(batch.x, batch.y)
    return batches


def _batch(item: Any) -> Batch:
    if not isinstance(item, (tuple, list)) or len(item) not in (2, 3):
        raise ValueError(f"A batch is (x, y) or (x, y, sample_weight). Received: {type(item).__name__}.")
    return Batch(*item)


def _length(x: Any, y: Any) -> int:
    if any(np.ndim(a) == 0 for a in keras.tree.flatten((x, y)) if a is not None):
        raise TypeError(
            "data holds arrays with one row per example. Received: numbers, or lists of them. "
            "Pass numpy.asarray(...) of each."
        )
    lengths = {len(a) for a in keras.tree.flatten((x, y)) if a is not None}
    if len(lengths) != 1:
        raise ValueError(f"Inputs and labels have the same number of examples. Received: {sorted(lengths)}.")
    if lengths == {0}:
        raise ValueError("data holds at least one example. Received: none.")
    return lengths.pop()


def as_arrays(data: Any) -> list[Any]:
    """Returns x, y and what else `data` holds as arrays, of as many examples each; None stays.

    Raises:
        ValueError: no example; inputs and labels of different lengths.
        TypeError: numbers in place of arrays, as nested lists hold them.
    """
    arrays = [None if a is None else keras.tree.map_structure(np.asarray, a) for a in data]
    _length(arrays[0], arrays[1])
    return arrays


def _pieces(data: Any, micro_batch: int | None) -> list[Batch]:
    arrays = as_arrays(data)
    total = _length(arrays[0], arrays[1])
    step = total if micro_batch is None else micro_batch
    cuts = [slice(start, min(start + step, total)) for start in range(0, total, step)]

    def piece(cut: slice) -> Batch:
        parts = [None if a is None else keras.tree.map_structure(lambda v: v[cut], a) for a in arrays]
        x, y, sample_weight = (*parts, None)[:3]
        return Batch(x, y, sample_weight, share=(cut.stop - cut.start) / total)

    return [piece(cut) for cut in cuts]


def embedding_sizes(model: keras.Model) -> list[int]:
    """Returns the number of rows of each embedding, i.e. the ids that it takes."""
    layers = (layer for _, layer in walk(model))
    return [layer.input_dim for layer in layers if isinstance(layer, keras.layers.Embedding)]


def input_specs(model: keras.Model) -> Any:
    """Returns the inputs' `tf.TensorSpec`s in the structure that the model takes, batch and unknown sizes being None.

    Raises:
        ValueError: a subclassed model that does not know its inputs' shapes, or with embeddings and several inputs,
            which of them are ids.
    """
    structure = getattr(getattr(model, "_functional", None) or model, "_inputs_struct", None)
    if structure is not None:
        return keras.tree.map_structure(lambda t: tf.TensorSpec(t.shape, t.dtype), structure)
    config = model.get_build_config() or {}
    shapes, has_ids = config.get("input_shape"), bool(embedding_sizes(model))
    if shapes is None or (has_ids and not _is_shape(shapes)):
        raise ValueError(
            "Random inputs need a model that knows the shape of its inputs, and which are ids. Received: "
            f"{type(model).__name__} {model.name!r}. Pass data=."
        )
    return _specs(shapes, "int32" if has_ids else "float32")


def _is_shape(shape: Any) -> bool:
    return isinstance(shape, (tuple, list)) and all(n is None or isinstance(n, int) for n in shape)


def _specs(shapes: Any, dtype: str) -> Any:
    """Specs in the structure of the shapes that a subclassed model was called with."""
    if _is_shape(shapes):
        return tf.TensorSpec((None, *shapes[1:]), dtype)
    if isinstance(shapes, dict):
        return {name: _specs(shape, dtype) for name, shape in shapes.items()}
    return [_specs(shape, dtype) for shape in shapes]


def random_inputs(model: keras.Model, count: int, generator: np.random.Generator) -> Any:
    """Returns `count` standard-normal inputs (uniform ids where the model takes integers), as the model takes them."""

    def draw(spec: tf.TensorSpec) -> np.ndarray:
        shape = (count, *(16 if n is None else n for n in spec.shape[1:]))
        if spec.dtype.is_floating:
            return generator.standard_normal(shape).astype(spec.dtype.as_numpy_dtype)
        if spec.dtype == tf.string:
            return generator.integers(0, 10, shape).astype(str)
        return generator.integers(0, min(embedding_sizes(model), default=2), shape).astype(spec.dtype.as_numpy_dtype)

    return keras.tree.map_structure(draw, input_specs(model))


def warn_about_missing_data(method: str) -> None:
    """Says that scores come from random inputs."""
    warnings.warn(
        f"{method} depends on training data and got none: scoring on standard-normal inputs and uniform labels. "
        "Pass data=(x, y) or data=dataset for the published method.",
        stacklevel=2,
    )
