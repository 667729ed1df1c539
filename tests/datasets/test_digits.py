import hashlib

import numpy as np

from tf_pai.datasets.digits import read_digits


def test_the_images_are_those_of_the_repository_they_came_from():
    source = read_digits()
    images = np.concatenate([source.train.images, source.test.images])
    labels = np.concatenate([source.train.labels, source.test.labels])
    np.testing.assert_array_equal(np.bincount(labels), [178, 182, 177, 183, 181, 182, 181, 179, 174, 180])
    np.testing.assert_array_equal(
        source.train.images[0, :2, :, 0], [[0, 0, 5, 13, 9, 1, 0, 0], [0, 0, 13, 15, 10, 15, 5, 0]]
    )
    assert (images.min(), images.max(), images.dtype) == (0, 16, np.uint8)
    assert images.sum(dtype=np.int64) == 561718


def test_the_split_is_fixed_and_stratified():
    source = read_digits()
    assert (source.train.size, source.test.size, source.classes) == (1437, 360, 10)
    np.testing.assert_array_equal(np.bincount(source.test.labels), [36, 37, 35, 37, 36, 36, 36, 36, 35, 36])
    assert (
        hashlib.sha256(source.test.images.tobytes()).hexdigest()
        == "9edd9489413b9cb10ad64f1bd38b3953dbfe863b25eea66904452c368cafb209"
    )


def test_no_image_is_in_both_splits():
    source = read_digits()
    together = np.concatenate([source.train.images, source.test.images]).reshape(1797, 64)
    assert len(np.unique(together, axis=0)) == 1797
