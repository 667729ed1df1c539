import functools
import gzip
import os

import numpy as np
import pytest

from tests.support import shared_path
from tf_pai.datasets import load
from tf_pai.datasets.tfds_sets import _require_classification

MNIST_TEST = [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]


@pytest.fixture(scope="module")
def mnist():
    return load("mnist", data_dir=shared_path("data", "mnist").parent, flat=True)


def official_images(name, file, count):
    content = gzip.decompress(shared_path("data", name, file).read_bytes())
    return np.frombuffer(content, np.uint8, offset=16)[: count * 784].reshape(count, 784)


def in_one_order(images):
    rows = images.reshape(-1, 784)
    return rows[np.lexsort(rows.T)]


def test_mnist_and_fashion_mnist_are_not_mixed_up(own_cache, monkeypatch):
    """Their files have the same names: with one extract_dir, TFDS would prepare the second from the first."""
    import tensorflow_datasets as tfds

    short = functools.partial(tfds.download.DownloadConfig, max_examples_per_split=1000)
    monkeypatch.setattr(tfds.download, "DownloadConfig", short)
    for name in ("mnist", "fashion_mnist"):
        data = load(name, data_dir=shared_path("data", name).parent)
        for split, file in (("train", "train-images-idx3-ubyte.gz"), ("test", "t10k-images-idx3-ubyte.gz")):
            loaded, expected = data.splits[split].images, official_images(name, file, 1000)
            np.testing.assert_array_equal(in_one_order(loaded), in_one_order(expected))


def test_mnist_is_what_the_papers_train_on(mnist):
    assert (mnist.input_shape, mnist.classes, mnist.steps_per_epoch) == ((784,), 10, 468)
    np.testing.assert_array_equal(np.bincount(mnist.splits["test"].labels), MNIST_TEST)
    np.testing.assert_allclose(
        [*mnist.standardise.mean, *mnist.standardise.deviation], [33.318421, 78.567490], rtol=1e-7
    )
    x, y = mnist.score_batch(10)
    assert x.shape == (100, 784)
    np.testing.assert_array_equal(y, np.repeat(np.arange(10), 10))
    x, _ = mnist.arrays("train")
    np.testing.assert_allclose([x.mean(dtype=float), x.std(dtype=float)], [0, 1], atol=1e-5)


def test_cifar10_as_tfds_prepares_it():
    folder = os.environ.get("TF_PAI_DATA_DIR")
    if not folder or not os.path.isdir(os.path.join(folder, "cifar10")):
        pytest.skip("CIFAR-10 is absent: TF_PAI_DATA_DIR names a folder in which TFDS has prepared it")
    data = load("cifar10", data_dir=folder)
    assert (data.input_shape, data.classes, data.train_size, data.test_size) == ((32, 32, 3), 10, 50000, 10000)
    np.testing.assert_array_equal(np.bincount(data.splits["train"].labels), [5000] * 10)
    mean, deviation = data.splits["train"].statistics()
    np.testing.assert_allclose(mean, data.standardise.mean, atol=0.4)
    np.testing.assert_allclose(deviation, data.standardise.deviation, atol=0.4)
    assert (next(data.train(0).as_numpy_iterator())[0] != next(data.train(1).as_numpy_iterator())[0]).any()


def test_any_set_that_fits_is_read_into_memory(prepared):
    data = load("tfds:toy_arrays", data_dir=prepared, batch_size=4)
    assert (data.input_shape, data.classes, data.train_size, data.test_size) == ((12, 10, 3), 3, 30, 6)
    assert data.splits["train"].crops


def test_the_order_does_not_depend_on_the_number_of_files(prepared):
    """Three files are read one after the other, not interleaved."""
    import tensorflow_datasets as tfds

    builder = tfds.builder("toy_arrays", data_dir=prepared)
    parts = [builder.as_dataset(split=f"train[{part}shard]").as_numpy_iterator() for part in ("0", "1", "2")]
    stored = np.stack([example["image"] for part in parts for example in part])
    np.testing.assert_array_equal(
        load("tfds:toy_arrays", data_dir=prepared, batch_size=4).splits["train"].images, stored
    )


def test_arrays_in_common_cannot_be_changed(prepared):
    data = load("tfds:toy_arrays", data_dir=prepared, batch_size=4)
    with pytest.raises(ValueError, match="read-only"):
        data.splits["train"].images[0] = 0


def test_a_set_without_a_test_split_is_refused(prepared):
    with pytest.raises(ValueError, match=r"Received: 'toy_lonely', whose test split is empty; it has train\."):
        load("tfds:toy_lonely", data_dir=prepared, batch_size=2)


def test_sets_too_large_for_memory_are_read_from_their_records(prepared, monkeypatch):
    monkeypatch.setattr("tf_pai.datasets.tfds_sets.IN_MEMORY_BYTES", 30 * 12 * 10 * 3 - 1)
    data = load("tfds:toy_arrays", data_dir=prepared, batch_size=4)
    assert (data.input_shape, data.train_size) == ((10, 10, 3), 30)


@pytest.mark.parametrize("name", ["ag_news_subset", "coco/2017"])
def test_a_set_of_other_things_is_refused(name, tmp_path):
    import tensorflow_datasets as tfds

    with pytest.raises(ValueError, match="An image classification set has an image and a class label"):
        _require_classification(tfds.builder(name, data_dir=tmp_path))
