import tarfile

import numpy as np
import pytest
import tensorflow as tf

from tests.support import shared_path
from tf_pai.datasets import load


def make(root, splits=("train", "val"), per_class=3, side=64):
    """Writes images of two classes in TFDS' ImageFolder layout."""
    rng = np.random.default_rng(0)
    for split in splits:
        for label in ("cat", "dog"):
            (root / split / label).mkdir(parents=True)
            for index in range(per_class):
                image = rng.integers(0, 256, [side, side, 3], dtype=np.uint8)
                (root / split / label / f"{index}.png").write_bytes(tf.io.encode_png(image).numpy())
    return root


def tar_of(folder, file):
    with tarfile.open(file, "w") as archive:
        archive.add(folder, folder.name)


def sizes(data_dir):
    data = load("tiny_imagenet", data_dir=data_dir, batch_size=2)
    return data.classes, data.train_size, data.test_size, data.input_shape


EXPECTED = (2, 6, 6, (64, 64, 3))


@pytest.mark.parametrize("inside", [".", "tiny_imagenet", "tiny_imagenet200"])
@pytest.mark.parametrize("test", ["test", "validation", "val"])
def test_folders(tmp_path, inside, test):
    make(tmp_path / inside, ("train", test))
    assert sizes(tmp_path) == EXPECTED


@pytest.mark.parametrize("inside", [".", "tiny_imagenet2"])
def test_tar_files_are_unpacked_into_the_cache_once(tmp_path, own_cache, inside):
    (tmp_path / "data" / inside).mkdir(parents=True)
    tar_of(make(tmp_path / "any_name"), tmp_path / "data" / inside / "tiny_imagenet2.tar")
    assert sizes(tmp_path / "data") == EXPECTED
    (unpacked,) = own_cache.iterdir()
    before = unpacked.stat().st_mtime_ns
    assert sizes(tmp_path / "data") == EXPECTED
    assert unpacked.stat().st_mtime_ns == before and list(own_cache.iterdir()) == [unpacked]


def test_another_tar_of_the_same_name_is_another_set(tmp_path, own_cache):
    for name, per_class in (("a", 3), ("b", 1)):
        (tmp_path / name).mkdir()
        tar_of(make(tmp_path / f"images_{name}", per_class=per_class), tmp_path / name / "tiny_imagenet.tar")
    assert sizes(tmp_path / "a") == EXPECTED
    assert sizes(tmp_path / "b") == (2, 2, 2, (64, 64, 3))


def test_the_shared_subset(cache):
    data = load("tiny_imagenet", data_dir=shared_path("data"))
    assert (data.classes, data.train_size, data.test_size, data.input_shape) == (10, 2500, 500, (64, 64, 3))
    np.testing.assert_array_equal(np.bincount(data.splits["train"].labels), [250] * 10)
    x, y = data.score_batch(10)
    assert x.shape == (100, 64, 64, 3)
    np.testing.assert_array_equal(y, np.repeat(np.arange(10), 10))
    first, again, other = (next(data.train(epoch).as_numpy_iterator())[0] for epoch in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_errors_say_where_the_images_belong(tmp_path):
    with pytest.raises(ValueError, match=r"read from a folder\. Received: data_dir=None\. Put the images into FOLDER/"):
        load("tiny_imagenet")
    with pytest.raises(ValueError, match=r"holds no 'tiny_imagenet'\. Received: data_dir=.*Put the images"):
        load("tiny_imagenet", data_dir=tmp_path)


@pytest.mark.parametrize(("splits", "missing"), [(("train",), "test"), (("train/x", "val"), "train")])
def test_an_empty_split_is_refused(tmp_path, splits, missing):
    make(tmp_path, splits)
    with pytest.raises(ValueError, match=f"whose {missing} split is empty"):
        load("tiny_imagenet", data_dir=tmp_path)


def test_a_tar_that_is_cut_short(tmp_path, own_cache):
    tar_of(make(tmp_path / "images"), tmp_path / "tiny_imagenet.tar")
    (tmp_path / "tiny_imagenet.tar").write_bytes((tmp_path / "tiny_imagenet.tar").read_bytes()[:20000])
    with pytest.raises(ValueError, match=r"The tar file is corrupt\. Received: '.*tiny_imagenet\.tar'.*Fetch it anew"):
        load("tiny_imagenet", data_dir=tmp_path)
    assert not list(own_cache.iterdir())


def test_a_tar_of_something_else(tmp_path, own_cache):
    (tmp_path / "papers").mkdir()
    tar_of(tmp_path / "papers", tmp_path / "tiny_imagenet.tar")
    with pytest.raises(ValueError, match="The tar file holds no folder train/"):
        load("tiny_imagenet", data_dir=tmp_path)


def test_a_corrupt_image_is_reported(tmp_path):
    make(tmp_path)
    (tmp_path / "train" / "cat" / "1.png").write_bytes(b"no image")
    with pytest.raises(ValueError, match="A file of the data set is corrupt"):
        load("tiny_imagenet", data_dir=tmp_path, batch_size=2)


def test_images_of_another_size_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"no image of shape \(64, 64, 3\)\. Received"):
        load("tiny_imagenet", data_dir=make(tmp_path, side=32), batch_size=2)
