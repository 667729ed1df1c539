import numpy as np
import pytest
import tensorflow as tf

from tf_pai.datasets import load
from tf_pai.datasets.augment import center_crop
from tf_pai.datasets.records import RecordSplit


@pytest.fixture
def split(prepared):
    """Sixty images of many sizes in three files, cropped to 8 pixels; classes are hidden in the order of storage."""
    import tensorflow_datasets as tfds

    return RecordSplit(tfds.builder("toy_records", data_dir=prepared), "train", 0, 60, side=8)


def batches(dataset):
    return [(x, y) for x, y in dataset.as_numpy_iterator()]


def images(dataset):
    return np.concatenate([x for x, _ in batches(dataset)])


def same_images(first, second):
    return np.array_equal(*(np.sort(x.reshape(len(x), -1).mean(axis=1)) for x in (first, second)))


def test_an_epoch_holds_every_example_once(split):
    assert same_images(images(split.shuffled(20, 0, 0, augment=False)), images(split.in_order(60)))


@pytest.mark.parametrize("augment", [False, True])
def test_an_epoch_is_a_function_of_seed_and_epoch(split, augment):
    tf.random.set_seed(1)
    first = images(split.shuffled(7, 0, 3, augment))
    tf.random.set_seed(2)
    np.testing.assert_array_equal(first, images(split.shuffled(7, 0, 3, augment)))
    for other in ((0, 4), (1, 3)):
        assert not np.array_equal(first, images(split.shuffled(7, *other, augment)))


def test_files_are_read_in_another_order_and_blocks_are_permuted(split, monkeypatch):
    monkeypatch.setattr("tf_pai.datasets.records.SHUFFLE_BLOCK", 8)
    shuffled = images(split.shuffled(60, 0, 0, augment=False))
    assert same_images(shuffled, images(split.in_order(60)))
    assert not np.array_equal(shuffled, images(split.in_order(60)))


def test_augmented_images_differ_between_epochs(split):
    first, second = (images(split.shuffled(60, 0, epoch, augment=True)) for epoch in (0, 1))
    assert not same_images(first, second)


def test_full_batches_only_and_a_static_shape(split):
    dataset = split.shuffled(25, 0, 0, augment=True)
    assert [x.shape for x, _ in batches(dataset)] == [(25, 8, 8, 3)] * 2
    assert dataset.element_spec[1].dtype == tf.int32


def test_epochs_follow_one_another(split):
    together = images(split.epochs(20, 0, 1, 3, augment=True))
    apart = [images(split.shuffled(20, 0, epoch, augment=True)) for epoch in (1, 2)]
    np.testing.assert_array_equal(together, np.concatenate(apart))


def test_in_order_the_images_are_center_cropped(split):
    stored = split.builder.as_dataset(split="train[:2]").as_numpy_iterator()
    x, y = batches(split.in_order(2))[0]
    for image, label, example in zip(x, y, stored, strict=True):
        np.testing.assert_allclose(image, center_crop(example["image"], 8), rtol=1e-5)
        assert label == example["label"]


def test_holding_out_takes_the_last(split):
    rest, held = split.hold_out(0.25)
    assert (rest.size, held.size) == (45, 15)
    np.testing.assert_array_equal(
        np.concatenate([images(rest.in_order(60)), images(held.in_order(60))]), images(split.in_order(60))
    )


def test_the_first_of_each_class(split):
    x, y = split.first(per_class=4, classes=3)
    all_x, all_y = batches(split.in_order(60))[0]
    np.testing.assert_array_equal(y, np.repeat([0, 1, 2], 4))
    np.testing.assert_array_equal(x, np.concatenate([all_x[all_y == label][:4] for label in range(3)]))
    with pytest.raises(ValueError, match="per_class=21, but class 0 has 20"):
        split.first(per_class=21, classes=3)


def test_statistics_are_those_of_the_crops(split):
    x = images(split.in_order(60))
    mean, deviation = split.statistics()
    np.testing.assert_allclose(mean, x.mean(axis=(0, 1, 2)), rtol=1e-4)
    np.testing.assert_allclose(deviation, x.std(axis=(0, 1, 2)), rtol=1e-3)


def test_loading_by_name(prepared):
    data = load("tfds:toy_records", data_dir=prepared, batch_size=8, validation_fraction=0.1)
    assert (data.input_shape, data.classes) == ((224, 224, 3), 3)
    assert (data.train_size, data.validation_size, data.test_size) == (54, 6, 12)
    x, y = next(data.train(0).as_numpy_iterator())
    assert (x.shape, x.dtype, y.dtype) == ((8, 224, 224, 3), np.float32, np.int32)
    assert [len(y) for _, y in data.test().as_numpy_iterator()] == [8, 4]
    with pytest.raises(ValueError, match=r"Only sets that fit into memory have arrays\. Received: 12 images"):
        data.arrays("test")
