"""A split that fits into memory: one index gather per batch."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from tf_pai.datasets import randomness
from tf_pai.datasets.augment import CROP_FLIP_DRAWS, crop_flip
from tf_pai.datasets.splits import Pair, require_per_class, spread

SAMPLE_VALUES = 2**26  # statistics use the first images that hold this many pixel values: all of MNIST


@dataclasses.dataclass(frozen=True, eq=False)
class ArraySplit:
    """Images and labels in memory.

    Attributes:
        images: uint8 of shape (n, height, width, channels).
        labels: int32 of shape (n,).
        crops: whether the usual augmentation of small natural images makes sense for these.
    """

    images: np.ndarray
    labels: np.ndarray
    crops: bool = False

    @property
    def size(self) -> int:
        """Number of examples."""
        return len(self.labels)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Height, width and channels."""
        return self.images.shape[1:]

    @functools.cached_property
    def _tensors(self) -> tuple[tf.Tensor, tf.Tensor]:
        # Eager tensors even where `epochs` asks for them while it traces: they outlive its graph.
        with tf.init_scope(), tf.device("CPU:0"):
            return tf.constant(self.images), tf.constant(self.labels)

    def hold_out(self, fraction: float) -> tuple[ArraySplit, ArraySplit]:
        """Returns the split without an evenly spaced `fraction` of each class, and that fraction."""
        picked = spread(self.labels, fraction)
        parts = [dataclasses.replace(self, images=self.images[m], labels=self.labels[m]) for m in (~picked, picked)]
        return parts[0], parts[1]

    def statistics(self) -> Pair:
        """Returns mean and standard deviation of each channel, counted from the histogram of its pixel values."""
        sample = self.images[: max(1, SAMPLE_VALUES // int(np.prod(self.image_shape)))]
        counts = np.zeros([sample.shape[-1], 256])
        for chunk in np.array_split(sample, -(-len(sample) // 1000)):
            for channel, values in enumerate(np.moveaxis(chunk, -1, 0)):
                counts[channel] += np.bincount(values.ravel(), minlength=256)
        share, values = counts / counts.sum(axis=1, keepdims=True), np.arange(256.0)
        mean = share @ values
        return mean, np.sqrt(share @ values**2 - mean**2)

    def shuffled(self, batch_size: int, seed: int, epoch: int | tf.Tensor, augment: bool) -> tf.data.Dataset:
        """Returns the full batches of one epoch; `epoch` may be a tensor."""
        images, labels = self._tensors
        order = randomness.permutation(self.size, randomness.key(seed, epoch, randomness.ORDER))
        change = self._augmentation(seed, epoch) if augment and self.crops else lambda x, rows: x

        def batch(step: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            rows = tf.slice(order, [step * batch_size], [batch_size])
            return change(tf.gather(images, rows), rows), tf.gather(labels, rows)

        return tf.data.Dataset.range(self.size // batch_size).map(batch, num_parallel_calls=tf.data.AUTOTUNE)

    def _augmentation(self, seed: int, epoch: int | tf.Tensor) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
        # One table for the epoch: row i belongs to example i, whatever batch that example is in.
        table = randomness.uniform([self.size, CROP_FLIP_DRAWS], randomness.key(seed, epoch, randomness.AUGMENTATION))
        return lambda x, rows: crop_flip(x, tf.gather(table, rows))

    def epochs(self, batch_size: int, seed: int, start: int, stop: int, augment: bool) -> tf.data.Dataset:
        """Returns the batches of the epochs start ... stop - 1, one after the other."""
        return tf.data.Dataset.range(start, stop).flat_map(
            lambda epoch: self.shuffled(batch_size, seed, epoch, augment)
        )

    def in_order(self, batch_size: int) -> tf.data.Dataset:
        """Returns all batches in order of appearance; the last may be smaller."""
        images, labels = self._tensors
        starts = tf.data.Dataset.range(0, self.size, batch_size)
        return starts.map(lambda at: (images[at : at + batch_size], labels[at : at + batch_size]))

    def first(self, per_class: int, classes: int) -> Pair:
        """Returns the first `per_class` examples of each class, class by class."""
        require_per_class(np.bincount(self.labels, minlength=classes), per_class)
        rows = np.concatenate([np.flatnonzero(self.labels == label)[:per_class] for label in range(classes)])
        return self.images[rows], self.labels[rows]

    def arrays(self) -> Pair:
        """Returns all images and labels in order of appearance."""
        return self.images, self.labels
