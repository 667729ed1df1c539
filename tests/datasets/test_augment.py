import numpy as np
import pytest
import tensorflow as tf

from tf_pai.datasets.augment import center_crop, crop_flip, resized_crop_flip

MIDDLE, KEEP, MIRROR = 4.5 / 9, 0.1, 0.9  # draws: offset 4 of 0 ... 8 is the unmoved image


@pytest.fixture
def images():
    return np.random.default_rng(0).integers(1, 256, [2, 6, 5, 3]).astype(np.uint8)


def test_the_middle_crop_is_the_image_itself(images):
    np.testing.assert_array_equal(crop_flip(images, tf.constant([[MIDDLE, MIDDLE, KEEP]] * 2)), images)


def test_a_mirrored_image_has_its_columns_reversed(images):
    result = crop_flip(images, tf.constant([[MIDDLE, MIDDLE, MIRROR]] * 2))
    np.testing.assert_array_equal(result, images[:, :, ::-1])


def test_a_moved_crop_is_black_where_the_image_ends(images):
    result = crop_flip(images, tf.constant([[0.0, MIDDLE, KEEP], [MIDDLE, 0.99, KEEP]])).numpy()
    np.testing.assert_array_equal(result[0, 4:], images[0, :2])
    assert not result[0, :4].any()
    np.testing.assert_array_equal(result[1, :, :1], images[1, :, 4:])
    assert not result[1, :, 1:].any()


def test_mirroring_comes_after_cropping(images):
    moved = crop_flip(images, tf.constant([[0.3, 0.8, KEEP]] * 2)).numpy()
    np.testing.assert_array_equal(crop_flip(images, tf.constant([[0.3, 0.8, MIRROR]] * 2)), moved[:, :, ::-1])


def test_each_image_has_draws_of_its_own(images):
    draws = tf.constant([[0.1, 0.7, KEEP], [0.6, 0.2, MIRROR]])
    both = crop_flip(images, draws)
    for i in range(2):
        np.testing.assert_array_equal(both[i], crop_flip(images[i : i + 1], draws[i : i + 1])[0])


def test_a_crop_of_the_whole_square_is_the_resized_image():
    image = np.random.default_rng(0).uniform(0, 255, [16, 16, 3]).astype(np.float32)
    whole = resized_crop_flip(image, tf.constant([1.0, 0.5, 0.0, 0.0, KEEP]), 8)
    np.testing.assert_allclose(whole, tf.image.resize(image, [8, 8], antialias=True), rtol=1e-5)


def test_a_crop_of_a_quarter_starts_where_the_draws_say():
    image = np.arange(16.0, dtype=np.float32).reshape(1, 16, 1) + np.zeros([16, 1, 1], np.float32)
    quarter = (0.25 - 0.08) / 0.92  # 8 of 16 pixels a side
    result = resized_crop_flip(image, tf.constant([quarter, 0.5, 0.0, 0.999, KEEP]), 8)
    np.testing.assert_allclose(result[0, :, 0], np.arange(8, 16), atol=1e-4)
    mirrored = resized_crop_flip(image, tf.constant([quarter, 0.5, 0.0, 0.999, MIRROR]), 8)
    np.testing.assert_allclose(mirrored[0, :, 0], np.arange(15, 7, -1), atol=1e-4)


@pytest.mark.parametrize("size", [(3, 300), (300, 3), (1, 1)])
@pytest.mark.parametrize("draw", [0.0, 0.9999])
def test_a_crop_fits_into_any_image(size, draw):
    image = np.full([*size, 3], 7, np.uint8)
    result = resized_crop_flip(image, tf.fill([5], draw), 4)
    np.testing.assert_allclose(result, np.full([4, 4, 3], 7.0), rtol=1e-5)


def test_the_center_crop_leaves_out_the_border():
    image = np.zeros([256, 512, 1], np.uint8)
    image[16:240, 144:368] = 1
    np.testing.assert_array_equal(center_crop(image, 224), np.ones([224, 224, 1]))
    assert center_crop(np.ones([1, 9, 1], np.uint8), 4).shape == (4, 4, 1)
