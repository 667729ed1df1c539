"""Parts and repetitions of a training, as functions from an epoch to its batches."""

from __future__ import annotations

import hashlib
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tf_pai.training import Batches, batches_of

FAR = 10_000  # epochs from one repetition to the next, where data are a function of the epoch


def replicate_of(data: Any, seed: int, replicate: int, batch_size: int) -> Batches:
    """Returns the batches of one of several repetitions that differ in the order of the data.

    Arrays are ordered by (seed + replicate, epoch); a function is asked for epochs that no other repetition reads. The
    order of a dataset is its own affair.
    """
    batches = batches_of(data, seed + replicate, batch_size)
    is_function = callable(data) and not isinstance(data, (tf.data.Dataset, keras.utils.PyDataset))
    return (lambda epoch: batches(epoch + FAR * replicate)) if is_function and replicate else batches


def first_steps(batches: Batches, until: int, steps: int | None) -> tuple[Batches, int]:
    """Returns the part of a training before step `until`, and its number of epochs.

    Args:
        batches: function from an epoch to its batches.
        until: a number of steps.
        steps: steps of an epoch.
    """
    whole, rest = divmod(until, _known(steps))
    if not rest:
        return batches, whole
    _check_cut(batches(whole), until)
    return (lambda epoch: batches(epoch).take(rest) if epoch == whole else batches(epoch)), whole + 1


def from_step(batches: Batches, epochs: int, step: int, steps: int | None) -> tuple[Batches, int]:
    """Returns the part of a training of `epochs` epochs from `step` on, and its number of epochs."""
    whole, rest = divmod(step, _known(steps))
    if rest:
        _check_cut(batches(whole), step)

    def part(epoch: int) -> Any:
        return batches(whole).skip(rest) if rest and epoch == 0 else batches(epoch + whole)

    return part, epochs - whole


def _known(steps: int | None) -> int:
    if steps is None:
        raise ValueError(
            "Rewinding needs to know how many steps an epoch has. Received: data of unknown length. Use "
            "dataset.apply(tf.data.experimental.assert_cardinality(steps)), or rewind_to='0it'."
        )
    return steps


def _check_cut(batches: Any, step: int) -> None:
    if not isinstance(batches, tf.data.Dataset):
        raise ValueError(
            f"A step within an epoch divides arrays or a tf.data.Dataset. Received: {type(batches).__name__} at step "
            f"{step}. Rewind to whole epochs, as '1ep'."
        )


def steps_of(batches: Any) -> int | None:
    """Returns the number of batches, or None where it is not known before they are read."""
    count = int(batches.cardinality()) if hasattr(batches, "cardinality") else int(getattr(batches, "num_batches", -1))
    return None if count < 0 else count


def digest_of(data: Any) -> str:
    """Returns a text that two data sets share only if a training cannot tell them apart, as far as can be known.

    Arrays are read whole; of anything else the first batch, if it is the same when it is read again, and the length.
    """
    if isinstance(data, (tuple, list)):
        return _digest(data)
    first = batches_of(data)(0)
    once, again = (_digest(_first(first)) for _ in range(2))
    return f"{once if once == again else ''} {getattr(first, 'element_spec', '')} {steps_of(first)}"


def _first(batches: Any) -> Any:
    return batches[0] if isinstance(batches, keras.utils.PyDataset) else next(iter(batches))


def _digest(arrays: Any) -> str:
    text = hashlib.blake2s(digest_size=10)
    for array in keras.tree.flatten(arrays):
        value = np.asarray(array)
        text.update(f"{value.shape} {value.dtype}".encode() + value.tobytes())
    return text.hexdigest()
