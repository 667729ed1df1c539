"""The examples that the ranges of 8-bit activations are taken from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tf_pai.criteria.data import input_specs

_BATCHES = 32  # of a dataset that are used


def calibration_batches(model: keras.Model, representative: Any) -> list[Any]:
    """Returns the examples in batches, labels left out, in the structure and types that the model takes.

    Args:
        model: a built model.
        representative: an array or structure of arrays, or a `tf.data.Dataset` of batches, labels or not.

    Raises:
        ValueError: no example, or what the model does not take.
    """
    if isinstance(representative, tf.data.Dataset):
        some = representative.take(_BATCHES).as_numpy_iterator()
        items = [item[0] if isinstance(item, tuple) else item for item in some]
    else:
        items = [representative]
    batches = [_as_inputs(input_specs(model), item) for item in items]
    if not batches or not all(len(array) for array in keras.tree.flatten(batches)):
        raise ValueError("representative= holds at least one example. Received: none. Pass a few hundred inputs.")
    return batches


def single_examples(names: list[str], batches: list[Any]) -> Iterator[dict[str, np.ndarray]]:
    """Yields the examples one by one, as the converter takes them: by the names of the inputs."""
    for batch in batches:
        arrays = keras.tree.flatten(batch)
        for i in range(len(arrays[0])):
            yield {name: array[i : i + 1] for name, array in zip(names, arrays, strict=True)}


def _as_inputs(specs: Any, item: Any) -> Any:
    flat, arrays = keras.tree.flatten(specs), [np.asarray(array) for array in keras.tree.flatten(item)]
    if len(flat) != len(arrays) or not all(map(_fits, flat, arrays)):
        wanted = ", ".join(f"{spec.dtype.name} {(None, *spec.shape[1:])}" for spec in flat)
        shapes = ", ".join(f"{array.dtype} {array.shape}" for array in arrays[:4])
        raise ValueError(
            f"representative= holds numbers of the shapes that the model takes: {wanted}. Received: "
            f"{type(item).__name__} of {len(arrays)} arrays: {shapes}. Pass inputs in batches, without labels."
        )
    cast = [array.astype(spec.dtype.as_numpy_dtype) for spec, array in zip(flat, arrays, strict=True)]
    return keras.tree.pack_sequence_as(specs, cast)


def _fits(spec: tf.TensorSpec, array: np.ndarray) -> bool:
    is_number = array.dtype.kind in "biuf" and bool(np.all(np.isfinite(array)))
    return is_number and array.ndim > 0 and spec.shape[1:].is_compatible_with(array.shape[1:])
