"""The data set that comes with tf_pai: 1,797 handwritten digits of 8x8 pixels."""

from __future__ import annotations

import pathlib

import numpy as np

from tf_pai.datasets.arrays import ArraySplit
from tf_pai.datasets.info import register_dataset
from tf_pai.datasets.splits import Source

FILE = pathlib.Path(__file__).with_name("digits.npz")
TEST_FRACTION = 360 / 1797


@register_dataset("digits", "handwritten digits, 1,437 + 360 of 8x8x1, embedded; Alpaydin & Kaynak 1998; CC BY 4.0")
def read_digits(name: str = "digits", data_dir: str | pathlib.Path | None = None) -> Source:
    """Reads the embedded digits: no network and no folder needed (`data_dir` is not looked at).

    The file holds the test set of "Optical Recognition of Handwritten Digits": 1,797 images by 13 writers, pixel
    values 0 to 16, in the original order. The official training set is not included, so the split is our own: of
    each class every fifth example or so, evenly spaced, is tested on, 360 in all, and 1,437 are trained on. The same
    writers are in both: accuracies are higher than on the official split.

    Source: E. Alpaydin and C. Kaynak, 1998, UCI Machine Learning Repository, https://doi.org/10.24432/C50P49, as
    scikit-learn ships it (`sklearn.datasets.load_digits`). Licence: CC BY 4.0.

    >>> source = read_digits()
    >>> source.train.size, source.test.size, source.train.image_shape
    (1437, 360, (8, 8, 1))
    """
    with np.load(FILE, allow_pickle=False) as file:
        images, labels = file["images"], file["labels"].astype(np.int32)
    train, test = ArraySplit(images, labels).hold_out(TEST_FRACTION)
    return Source(train, test, classes=10)
