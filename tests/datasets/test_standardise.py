import numpy as np

from tf_pai.datasets.standardise import Standardise

IMAGES = np.random.default_rng(0).integers(0, 256, [4, 3, 2, 2], dtype=np.uint8)


def test_each_channel_has_its_own_mean_and_deviation():
    result = Standardise((100.0, 50.0), (10.0, 20.0))(IMAGES)
    np.testing.assert_allclose(result, (IMAGES - np.array([100.0, 50.0])) / [10.0, 20.0], rtol=1e-5)
    assert result.dtype == np.float32


def test_flat_images_keep_the_order_of_their_pixels():
    kept, flat = (Standardise((100.0, 50.0), (10.0, 20.0), flat)(IMAGES).numpy() for flat in (False, True))
    np.testing.assert_array_equal(flat, kept.reshape(4, 12))


def test_a_channel_that_never_changes_becomes_zero():
    result = Standardise((7.0,), (0.0,))(np.full([1, 2, 2, 1], 7, np.uint8))
    np.testing.assert_array_equal(result, np.zeros([1, 2, 2, 1]))
