"""What a data set is read into: a train and a test `Split`, each of which gives batches of pixels and labels."""

from __future__ import annotations

import dataclasses
from typing import Protocol

import numpy as np
import tensorflow as tf

Pair = tuple[np.ndarray, np.ndarray]


class Split(Protocol):
    """Examples of one split. Images are in units of pixel values (0 to 255), labels are int32 class numbers."""

    @property
    def size(self) -> int:
        """Number of examples."""

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Height, width and channels."""

    def hold_out(self, fraction: float) -> tuple[Split, Split]:
        """Returns the split without a fixed `fraction` of its examples, and that fraction."""

    def statistics(self) -> Pair:
        """Returns mean and standard deviation of the pixel values, each of shape (channels,)."""

    def shuffled(self, batch_size: int, seed: int, epoch: int, augment: bool) -> tf.data.Dataset:
        """Returns the full batches of one epoch, in the order that (seed, epoch) gives."""

    def epochs(self, batch_size: int, seed: int, start: int, stop: int, augment: bool) -> tf.data.Dataset:
        """Returns the batches of `shuffled` for the epochs start ... stop - 1, one after the other."""

    def in_order(self, batch_size: int) -> tf.data.Dataset:
        """Returns all batches in order of appearance; the last may be smaller."""

    def first(self, per_class: int, classes: int) -> Pair:
        """Returns the first `per_class` examples of each class, class by class."""

    def arrays(self) -> Pair:
        """Returns all images and labels in order of appearance."""


@dataclasses.dataclass(frozen=True)
class Source:
    """A data set as it was read, before batching.

    Attributes:
        train: the official training split.
        test: the split accuracy is measured on.
        classes: number of classes.
    """

    train: Split
    test: Split
    classes: int


def spread(labels: np.ndarray, fraction: float) -> np.ndarray:
    """Picks a fixed, stratified part of a split: evenly spaced examples of each class.

    Each class gives floor(fraction * size of the class) examples; the classes with the largest remainders, the lower
    first, give one more, so that round(fraction * len(labels)) are picked in all.

    Returns:
        boolean array of the labels' shape, True = picked.

    >>> spread(np.array([0, 0, 0, 0, 1, 1, 1, 1]), 0.5).astype(int)
    array([0, 1, 0, 1, 0, 1, 0, 1])
    """
    members = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    shares = np.array([fraction * len(rows) for rows in members])
    # Rounded, so that equal remainders stay equal whatever the last bit of the product is.
    remainders = np.round(shares - np.floor(shares), 9)
    counts = np.floor(shares).astype(int)
    missing = round(fraction * len(labels)) - counts.sum()
    counts[np.argsort(-remainders, kind="stable")[:missing]] += 1
    picked = np.zeros(len(labels), bool)
    for rows, count in zip(members, counts, strict=True):
        picked[rows[(2 * np.arange(count) + 1) * len(rows) // (2 * max(count, 1))]] = True
    return picked


def require_per_class(found: np.ndarray, per_class: int) -> None:
    """Checks that `found`, the number of examples of each class, reaches `per_class` everywhere."""
    if per_class > found.min():
        raise ValueError(
            f"Each class needs per_class training examples. Received: per_class={per_class}, but class "
            f"{int(found.argmin())} has {int(found.min())}. Ask for at most {int(found.min())}."
        )
