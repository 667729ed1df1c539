import numpy as np
import pytest

from tf_pai.datasets.arrays import ArraySplit


@pytest.fixture
def split():
    """Twenty images, told apart by their labels."""
    images = np.random.default_rng(0).integers(0, 256, [20, 6, 5, 3], dtype=np.uint8)
    return ArraySplit(images, np.arange(20, dtype=np.int32), crops=True)


def by_label(batches):
    return {int(label): image for x, y in batches.as_numpy_iterator() for image, label in zip(x, y, strict=True)}


def test_an_epoch_holds_every_example_once(split):
    seen = by_label(split.shuffled(5, seed=0, epoch=0, augment=False))
    assert sorted(seen) == list(range(20))
    for label, image in seen.items():
        np.testing.assert_array_equal(image, split.images[label])


def test_the_last_partial_batch_is_dropped(split):
    batches = list(split.shuffled(6, 0, 0, False).as_numpy_iterator())
    assert [len(y) for _, y in batches] == [6, 6, 6]


def test_batches_have_a_static_shape(split):
    x, y = split.shuffled(6, 0, 0, True).element_spec
    assert x.shape == (6, 6, 5, 3) and y.shape == (6,)


def test_augmentation_belongs_to_the_example_not_to_the_batch(split):
    small, large = (by_label(split.shuffled(size, 0, 3, True)) for size in (2, 10))
    for label in range(20):
        np.testing.assert_array_equal(small[label], large[label])


def test_augmentation_differs_between_epochs_and_from_the_image(split):
    first, second = (by_label(split.shuffled(20, 0, epoch, True)) for epoch in (0, 1))
    assert sum((first[i] != second[i]).any() for i in range(20)) > 15
    assert sum((first[i] != split.images[i]).any() for i in range(20)) > 15


def test_images_that_are_not_to_be_cropped_stay_as_they_are(split):
    plain = ArraySplit(split.images, split.labels, crops=False)
    for label, image in by_label(plain.shuffled(20, 0, 0, augment=True)).items():
        np.testing.assert_array_equal(image, split.images[label])


def test_order_of_appearance_keeps_the_last_partial_batch(split):
    batches = list(split.in_order(8).as_numpy_iterator())
    np.testing.assert_array_equal(np.concatenate([y for _, y in batches]), split.labels)
    np.testing.assert_array_equal(np.concatenate([x for x, _ in batches]), split.images)


def test_statistics_are_those_of_numpy(split):
    mean, deviation = split.statistics()
    np.testing.assert_allclose(mean, split.images.mean(axis=(0, 1, 2)))
    np.testing.assert_allclose(deviation, split.images.std(axis=(0, 1, 2)))


def test_statistics_of_large_sets_come_from_the_first_images(split, monkeypatch):
    monkeypatch.setattr("tf_pai.datasets.arrays.SAMPLE_VALUES", 2 * 6 * 5 * 3)
    np.testing.assert_allclose(split.statistics()[0], split.images[:2].mean(axis=(0, 1, 2)))


def test_holding_out_parts_the_examples(split):
    labels = np.tile(np.arange(2, dtype=np.int32), 10)
    rest, held = ArraySplit(split.images, labels, crops=True).hold_out(0.2)
    assert (rest.size, held.size) == (16, 4) and rest.crops
    np.testing.assert_array_equal(np.bincount(held.labels), [2, 2])
    together = np.concatenate([rest.images, held.images]).reshape(20, -1)
    np.testing.assert_array_equal(np.unique(together, axis=0), np.unique(split.images.reshape(20, -1), axis=0))


def test_streams_can_be_made_one_after_the_other(split):
    """The tensors that the first one makes while it traces must outlive its graph."""
    streams = [split.epochs(10, 0, 0, 2, augment=True) for _ in range(2)]
    for (x, y), (other_x, other_y) in zip(*(stream.as_numpy_iterator() for stream in streams), strict=True):
        np.testing.assert_array_equal(x, other_x)
        np.testing.assert_array_equal(y, other_y)
