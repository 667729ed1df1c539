import shutil

import numpy as np
import pytest

from tests.support import shared_path
from tf_pai.datasets import load
from tf_pai.datasets.tfds_prepare import existing_folder, open_builder, quiet

FILES = "t10k-images-idx3-ubyte.gz, t10k-labels-idx1-ubyte.gz, train-images-idx3-ubyte.gz, train-labels-idx1-ubyte.gz"


@pytest.fixture
def official(tmp_path):
    """A copy of MNIST's official files that a test may spoil."""
    shutil.copytree(shared_path("data", "mnist"), tmp_path / "data" / "mnist", copy_function=shutil.copyfile)
    (tmp_path / "data" / "mnist").chmod(0o755)
    return tmp_path / "data"


def test_a_folder_that_is_missing(tmp_path):
    with pytest.raises(ValueError, match=r"data_dir is a folder that exists\. Received: data_dir='.*nowhere'"):
        load("mnist", data_dir=tmp_path / "nowhere")
    assert existing_folder(str(tmp_path)) == tmp_path


def test_a_folder_without_the_set_says_what_to_put_there(tmp_path):
    with pytest.raises(ValueError, match=rf"holds no 'mnist'.*Put the official files \({FILES}\) into FOLDER/mnist/"):
        load("mnist", data_dir=tmp_path)
    with pytest.raises(ValueError, match=r"holds no 'cifar10'.*TFDS prepares it into FOLDER/cifar10/3\.0\.2/"):
        load("cifar10", data_dir=tmp_path)


def test_without_network_and_data_the_error_comes_at_once(offline):
    with pytest.raises(ValueError, match=r"'cmaterdb' is not on this machine, and cannot be downloaded\. Put the"):
        load("tfds:cmaterdb/devanagari")


def test_a_set_that_is_fetched_by_hand_says_how(offline):
    with pytest.raises(ValueError, match=r"cannot be downloaded.*TFDS says: manual_dir should contain two files"):
        load("imagenet2012")


def test_a_name_that_tfds_does_not_know(tmp_path):
    with pytest.raises(ValueError, match=r"TFDS knows no such data set\. Received: 'mnits'\. Did you mean 'mnist'\?"):
        load("tfds:mnits", data_dir=tmp_path)


def test_a_missing_file_without_network(official, offline, own_cache):
    (official / "mnist" / "train-images-idx3-ubyte.gz").unlink()
    with pytest.raises(ValueError, match=r"Official files of 'mnist' are missing.*Received: .* with t10k-images"):
        load("mnist", data_dir=official)


def test_a_corrupt_file_leaves_nothing_behind(official, own_cache):
    file = official / "mnist" / "train-labels-idx1-ubyte.gz"
    content = bytearray(file.read_bytes())
    content[5000] ^= 1
    file.write_bytes(content)
    with pytest.raises(ValueError, match=r"(?s)Could not prepare 'mnist' from the official files in .*wrong checksum"):
        load("mnist", data_dir=official)
    left = [path for path in own_cache.rglob("*") if path.is_file() or ".preparing" in path.name]
    assert not left


def test_a_prepared_set_is_only_read(prepared, own_cache):
    before = {path: path.stat().st_mtime_ns for path in prepared.rglob("*")}
    builder = open_builder("toy_arrays", prepared)
    assert builder.info.splits["train"].num_examples == 30
    assert before == {path: path.stat().st_mtime_ns for path in prepared.rglob("*")}
    assert not own_cache.exists()


def test_a_corrupt_record_is_reported(prepared, tmp_path):
    shutil.copytree(prepared / "toy_arrays", tmp_path / "toy_arrays")
    file = next((tmp_path / "toy_arrays").rglob("*train.tfrecord-00001*"))
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    with pytest.raises(
        ValueError,
        match=r"A file of the data set is corrupt, or no image of shape \(12, 10, 3\)\. Received: .*toy_arrays",
    ):
        load("tfds:toy_arrays", data_dir=tmp_path, batch_size=2)


def test_quiet_swallows_prints_and_restores_logging(capsys):
    from absl import logging

    before = logging.get_verbosity()
    with quiet():
        print("noise")
        assert logging.get_verbosity() == logging.ERROR
    print("signal")
    assert capsys.readouterr().out == "signal\n"
    assert logging.get_verbosity() == before


def test_loading_prints_nothing(prepared, capfd):
    data = load("tfds:toy_arrays", data_dir=prepared, batch_size=2)
    np.testing.assert_array_equal(np.bincount(data.arrays("train")[1]), [10, 10, 10])
    assert "oading" not in "".join(capfd.readouterr())
