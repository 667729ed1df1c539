"""Data sets that come from TFDS, by their own names or as `tfds:NAME`."""

from __future__ import annotations

import functools
import math
import pathlib
from typing import Any

import numpy as np
import tensorflow as tf

from tf_pai.datasets.arrays import ArraySplit
from tf_pai.datasets.info import register_dataset
from tf_pai.datasets.records import RecordSplit
from tf_pai.datasets.splits import Pair, Source, Split
from tf_pai.datasets.tfds_prepare import open_builder, quiet

IN_MEMORY_BYTES = 2**31  # splits whose decoded pixels need more are read from their records in each epoch
CROP_SIDE = 224  # pixels; of images that are read from records

IMAGENET_STATISTICS = {"mean": (0.485, 0.456, 0.406), "deviation": (0.229, 0.224, 0.225)}


@register_dataset("mnist", "handwritten digits, 60,000 + 10,000 of 28x28x1; LeCun et al.; CC BY-SA 3.0")
@register_dataset("fashion_mnist", "articles of clothing, 60,000 + 10,000 of 28x28x1; Xiao et al. 2017; MIT")
@register_dataset(
    "cifar10",
    "10 kinds of things, 50,000 + 10,000 of 32x32x3; Krizhevsky 2009",
    mean=(0.49140, 0.48216, 0.44653),
    deviation=(0.24703, 0.24349, 0.26159),
)
@register_dataset(
    "cifar100",
    "100 kinds of things, 50,000 + 10,000 of 32x32x3; Krizhevsky 2009",
    mean=(0.50707, 0.48655, 0.44092),
    deviation=(0.26733, 0.25644, 0.27615),
)
@register_dataset(
    "imagenette",
    "10 easy classes of ImageNet, 9,469 + 3,925, cropped to 224x224x3; fast.ai; Apache-2.0",
    **IMAGENET_STATISTICS,
)
@register_dataset("tfds:NAME", "any other image classification set of TFDS, e.g. tfds:svhn_cropped")
def read_tfds(
    name: str, data_dir: str | pathlib.Path | None, test_splits: tuple[str, ...] = ("test", "validation")
) -> Source:
    """Reads an image classification set of TFDS.

    Args:
        name: TFDS name, with a configuration if need be, e.g. "imagenette/160px-v2".
        data_dir: see `tf_pai.datasets.load`.
        test_splits: the first of these that the set has is its test split.

    Raises:
        ValueError: the set cannot be had, has no images with labels, or lacks a split.
    """
    builder = open_builder(name, data_dir)
    with quiet():
        classes = _require_classification(builder)
        test = next((split for split in test_splits if split in builder.info.splits), test_splits[0])
        return Source(_read_split(builder, "train"), _read_split(builder, test), classes)


@register_dataset(
    "imagenet2012",
    "1,000 classes, 1,281,167 + 50,000, cropped to 224x224x3; Russakovsky et al. 2015; non-commercial research",
    **IMAGENET_STATISTICS,
)
def read_imagenet(name: str, data_dir: str | pathlib.Path | None) -> Source:
    """Reads ImageNet, whose test split has no labels: accuracy is measured on its validation split."""
    return read_tfds(name, data_dir, test_splits=("validation",))


def _require_classification(builder: Any) -> int:
    """Returns the number of classes of a set that has a uint8 image and a class for each example."""
    import tensorflow_datasets as tfds

    keys: tuple = builder.info.supervised_keys or ()
    kinds = [type(builder.info.features[key]) for key in keys if isinstance(key, str)]
    if kinds != [tfds.features.Image, tfds.features.ClassLabel]:
        raise ValueError(
            f"An image classification set has an image and a class label. Received: {builder.name!r} with "
            f"{', '.join(kind.__name__ for kind in kinds) or 'neither'}. Choose another set of TFDS."
        )
    if builder.info.features[keys[0]].np_dtype != np.uint8:
        raise ValueError(
            f"Images have pixel values from 0 to 255. Received: {builder.name!r} with "
            f"{np.dtype(builder.info.features[keys[0]].np_dtype).name}. Choose another set of TFDS."
        )
    return builder.info.features[keys[1]].num_classes


def _read_split(builder: Any, split: str) -> Split:
    """Reads a split into memory where its images are of one size and fit, else prepares to read its records."""
    count = builder.info.splits[split].num_examples if split in builder.info.splits else 0
    if not count:
        raise ValueError(
            f"A data set needs examples to train on and to test on. Received: {builder.name!r}, whose {split} split is "
            f"empty; it has {', '.join(builder.info.splits)}."
        )
    shape = builder.info.features[builder.info.supervised_keys[0]].shape
    if None in shape or count * math.prod(shape) > IN_MEMORY_BYTES:
        side = CROP_SIDE if None in shape else min(CROP_SIDE, *shape[:2])
        return RecordSplit(builder, split, 0, count, side)
    return ArraySplit(*_read_arrays(str(builder.data_path), split), crops=shape[-1] == 3)


@functools.lru_cache(maxsize=2)  # the two splits of one set: the next run on it in this process starts at once
def _read_arrays(folder: str, split: str) -> Pair:
    import tensorflow_datasets as tfds

    builder = tfds.builder_from_directory(folder)
    image, label = builder.info.supervised_keys
    # Files one after the other: the order of appearance does not depend on how many files the set was stored in.
    config = tfds.ReadConfig(try_autocache=False, interleave_cycle_length=1)
    decoding = tfds.decode.PartialDecoding({image: True, label: True})
    examples = builder.as_dataset(split=split, read_config=config, decoders=decoding)
    return collect(
        examples.map(lambda example: (example[image], example[label])), builder.info.splits[split].num_examples, folder
    )


def collect(examples: tf.data.Dataset, size: int, folder: str) -> Pair:
    """Reads `size` pairs (image, label) into two read-only arrays, uint8 and int32.

    Raises:
        ValueError: a file in `folder` is corrupt, or an image has another size.
    """
    shape = examples.element_spec[0].shape
    images, labels = np.empty([size, *shape], np.uint8), np.empty([size], np.int32)
    at = 0
    try:
        for x, y in examples.batch(1000).as_numpy_iterator():
            images[at : at + len(y)], labels[at : at + len(y)] = x, y
            at += len(y)
    except (tf.errors.OpError, ValueError) as error:
        raise ValueError(
            f"A file of the data set is corrupt, or no image of shape {tuple(shape)}. Received: {folder!r}: {error}. "
            "Fetch it anew."
        ) from error
    if at != size:
        raise ValueError(f"A file of the data set is cut short. Received: {at} of {size} examples in {folder!r}.")
    images.flags.writeable = labels.flags.writeable = False
    return images, labels
