"""A split that is too large for memory, or whose images differ in size: read from TFDS' records in each epoch."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from tf_pai.datasets import randomness
from tf_pai.datasets.augment import RESIZED_CROP_DRAWS, center_crop, resized_crop_flip
from tf_pai.datasets.splits import Pair, require_per_class
from tf_pai.datasets.tfds_prepare import quiet

SHUFFLE_BLOCK = 4096  # encoded images permuted at a time, after the files were permuted
STATISTICS_SAMPLE = 1000  # images


@dataclasses.dataclass(frozen=True, eq=False)
class RecordSplit:
    """Encoded images of any size, decoded and cropped to a square when they are needed.

    The order of an epoch comes from permuting the files, and the records within blocks of `SHUFFLE_BLOCK`; the
    draws of the augmentation belong to (seed, epoch, place in the epoch).

    Attributes:
        builder: TFDS builder of a prepared data set.
        name: TFDS split, e.g. "train".
        start: first example of the split that belongs to this one.
        stop: the example after the last.
        side: height and width of the crops, in pixels.
    """

    builder: Any
    name: str
    start: int
    stop: int
    side: int

    @property
    def size(self) -> int:
        """Number of examples."""
        return self.stop - self.start

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Height, width and channels of the crops."""
        return self.side, self.side, self._image_feature.shape[-1]

    @property
    def _keys(self) -> tuple[str, str]:
        return self.builder.info.supervised_keys

    @property
    def _image_feature(self) -> Any:
        return self.builder.info.features[self._keys[0]]

    def hold_out(self, fraction: float) -> tuple[RecordSplit, RecordSplit]:
        """Returns the split without its last `fraction`, and that fraction (TFDS stores examples shuffled)."""
        middle = self.stop - round(fraction * self.size)
        return dataclasses.replace(self, stop=middle), dataclasses.replace(self, start=middle)

    def _records(self, sort_files: Callable[[list], list] | None = None) -> tf.data.Dataset:
        """Returns pairs (encoded image, label); in order of appearance where the files are not re-sorted."""
        import tensorflow_datasets as tfds

        image, label = self._keys
        config = tfds.ReadConfig(
            try_autocache=False,
            interleave_cycle_length=16 if sort_files else 1,
            experimental_interleave_sort_fn=sort_files,
        )
        decoding = tfds.decode.PartialDecoding({image: True, label: True}, decoders={image: tfds.decode.SkipDecoding()})
        part = f"{self.name}[{self.start}:{self.stop}]"
        with quiet():
            records = self.builder.as_dataset(split=part, read_config=config, decoders=decoding)
        return records.map(lambda record: (record[image], tf.cast(record[label], tf.int32)))

    def shuffled(self, batch_size: int, seed: int, epoch: int, augment: bool) -> tf.data.Dataset:
        """Returns the full batches of one epoch."""
        order = randomness.key(seed, epoch, randomness.ORDER)
        chance = randomness.key(seed, epoch, randomness.AUGMENTATION)

        def sort_files(files: list) -> list:
            return [files[index] for index in randomness.permutation(len(files), order).numpy()]

        def permute(block: tf.Tensor, record: tuple[tf.Tensor, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
            rows = randomness.permutation(tf.size(record[1]), tf.random.fold_in(order, block, alg="philox"))
            return tf.gather(record[0], rows), tf.gather(record[1], rows)

        def crop(place: tf.Tensor, record: tuple[tf.Tensor, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
            draws = randomness.uniform([RESIZED_CROP_DRAWS], tf.random.fold_in(chance, place, alg="philox"))
            image = self._image_feature.decode_example(record[0])
            return resized_crop_flip(image, draws, self.side), record[1]

        records = self._records(sort_files).batch(SHUFFLE_BLOCK).enumerate().map(permute).unbatch()
        if augment:
            examples = records.enumerate().map(crop, num_parallel_calls=tf.data.AUTOTUNE)
        else:
            examples = self._center_cropped(records)
        return examples.batch(batch_size, drop_remainder=True)

    def _center_cropped(self, records: tf.data.Dataset) -> tf.data.Dataset:
        def crop(image: tf.Tensor, label: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            return center_crop(self._image_feature.decode_example(image), self.side), label

        return records.map(crop, num_parallel_calls=tf.data.AUTOTUNE)

    def epochs(self, batch_size: int, seed: int, start: int, stop: int, augment: bool) -> tf.data.Dataset:
        """Returns the batches of the epochs start ... stop - 1, one after the other."""
        epochs = [self.shuffled(batch_size, seed, epoch, augment) for epoch in range(start, stop)]
        return functools.reduce(lambda left, right: left.concatenate(right), epochs)

    def in_order(self, batch_size: int) -> tf.data.Dataset:
        """Returns all batches in order of appearance, center-cropped; the last may be smaller."""
        return self._center_cropped(self._records()).batch(batch_size)

    def statistics(self) -> Pair:
        """Returns mean and standard deviation of each channel over the first 1,000 images, center-cropped."""
        sample = self._center_cropped(self._records().take(STATISTICS_SAMPLE)).as_numpy_iterator()
        moments = [(x.mean(axis=(0, 1)), (x**2).mean(axis=(0, 1))) for x, _ in sample]
        mean, square = np.asarray(moments, np.float64).mean(axis=0)
        return mean, np.sqrt(square - mean**2)

    def first(self, per_class: int, classes: int) -> Pair:
        """Returns the first `per_class` examples of each class, class by class, center-cropped."""
        found: list[list[bytes]] = [[] for _ in range(classes)]
        for image, label in self._records().as_numpy_iterator():
            if len(found[label]) < per_class:
                found[label].append(image)
                if min(map(len, found)) == per_class:
                    break
        require_per_class(np.array([len(images) for images in found]), per_class)
        labels = np.repeat(np.arange(classes, dtype=np.int32), per_class)
        encoded = tf.data.Dataset.from_tensor_slices(([image for images in found for image in images], labels))
        return np.stack([x for x, _ in self._center_cropped(encoded).as_numpy_iterator()]), labels

    def arrays(self) -> Pair:
        """Refuses: a split that is read from records does not fit into memory."""
        raise ValueError(
            f"Only sets that fit into memory have arrays. Received: {self.size} images of any size, read from "
            f"{self.builder.data_path}. Use train(epoch) or test()."
        )
