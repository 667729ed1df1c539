import numpy as np
import pytest

from tf_pai.datasets import load
from tf_pai.datasets.synthetic import read_synthetic


def test_shapes_and_classes_are_as_asked():
    data = load("synthetic:6x5x3:4")
    assert (data.input_shape, data.classes, data.train_size, data.test_size) == ((6, 5, 3), 4, 1024, 256)
    np.testing.assert_array_equal(np.bincount(data.arrays("test")[1]), [64] * 4)


def test_the_images_are_the_same_every_time():
    np.testing.assert_array_equal(read_synthetic("4x4x1:2").train.images, read_synthetic("4x4x1:2").train.images)


def test_the_classes_can_be_told_apart():
    """The nearest class mean of the training images finds the class of nearly every test image."""
    data = load("synthetic:6x5x3:4", flat=True)
    (x, y), (x_test, y_test) = data.arrays("train"), data.arrays("test")
    means = np.stack([x[y == label].mean(axis=0) for label in range(4)])
    guess = ((x_test[:, None] - means) ** 2).sum(axis=2).argmin(axis=1)
    assert (guess == y_test).mean() > 0.95


@pytest.mark.parametrize("asked", ["32x32:10", "32x32x3", "0x4x3:2", "4x4x3:0", "4x4x3:2x"])
def test_another_form_is_refused(asked):
    with pytest.raises(ValueError, match=rf"Received: 'synthetic:{asked}'\. Example: synthetic:32x32x3:10"):
        load(f"synthetic:{asked}")
