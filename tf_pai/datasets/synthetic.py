"""Images of any size and number of classes out of nothing, to try a network or a pipeline without a download."""

from __future__ import annotations

import pathlib
import re

import numpy as np

from tf_pai.datasets.arrays import ArraySplit
from tf_pai.datasets.info import register_dataset
from tf_pai.datasets.splits import Source

TRAIN_SIZE, TEST_SIZE = 1024, 256


@register_dataset(
    "synthetic:HxWxC:classes", "noise around one random image per class, 1,024 + 256; no results to report"
)
def read_synthetic(shape_and_classes: str, data_dir: str | pathlib.Path | None = None) -> Source:
    """Makes images that a network of any kind can learn: one random image per class, half covered by noise.

    Args:
        shape_and_classes: e.g. "32x32x3:10". The classes take turns, so that they are equally frequent.
        data_dir: not looked at.

    Raises:
        ValueError: not of that form, or a number in it is zero.

    >>> read_synthetic("4x4x3:2").train.labels[:4]
    array([0, 1, 0, 1], dtype=int32)
    """
    match = re.fullmatch(r"([1-9]\d*)x([1-9]\d*)x([1-9]\d*):([1-9]\d*)", shape_and_classes)
    if match is None:
        raise ValueError(
            "Synthetic images are asked for as synthetic:HEIGHTxWIDTHxCHANNELS:CLASSES. "
            f"Received: 'synthetic:{shape_and_classes}'. Example: synthetic:32x32x3:10."
        )
    *shape, classes = map(int, match.groups())
    rng = np.random.default_rng(0)
    patterns = rng.integers(0, 128, [classes, *shape], dtype=np.uint8)
    labels = np.arange(TRAIN_SIZE + TEST_SIZE, dtype=np.int32) % classes
    images = patterns[labels] + rng.integers(0, 128, [len(labels), *shape], dtype=np.uint8)
    cut = TRAIN_SIZE
    return Source(ArraySplit(images[:cut], labels[:cut]), ArraySplit(images[cut:], labels[cut:]), classes)
