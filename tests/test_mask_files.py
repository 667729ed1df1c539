"""Masks in files: saved, loaded, matched by name or order; damaged files and full disks."""

import os
import pathlib
import signal
import subprocess
import sys
import textwrap

import keras
import numpy as np
import pytest

import tf_pai
from tests.layers.support import pruned, same_masks
from tf_pai.mask_files import read_masks
from tf_pai.testing import FAMILIES

L = keras.layers


def perceptron(names=("fc1", "fc2")):
    keras.utils.set_random_seed(0)
    layers = [L.Dense(8, activation="relu", name=names[0]), L.Dense(3, name=names[1])]
    return keras.Sequential([keras.Input((6,)), *layers])


@pytest.fixture
def model():
    return pruned(perceptron())


@pytest.mark.parametrize("name", FAMILIES)
def test_masks_saved_and_loaded_are_the_same(name, tmp_path):
    family = FAMILIES.find(name)
    model = pruned(family.build())
    tf_pai.save_masks(model, tmp_path / "masks.npz")
    masks = tf_pai.get_masks(model)
    assert same_masks(read_masks(tmp_path / "masks.npz"), masks)
    tf_pai.set_masks(model, {path: ~mask for path, mask in masks.items()})
    assert tf_pai.load_masks(model, tmp_path / "masks.npz") is model
    assert same_masks(tf_pai.get_masks(model), masks) and tf_pai.verify(model)


def test_a_plain_model_gets_masks_from_a_file(model, tmp_path):
    tf_pai.save_masks(model, tmp_path / "masks.npz")
    other = tf_pai.load_masks(perceptron(), tmp_path / "masks.npz")
    assert same_masks(tf_pai.get_masks(other), tf_pai.get_masks(model)) and tf_pai.verify(other)


def test_a_file_takes_one_bit_per_weight(tmp_path):
    model = keras.Sequential([keras.Input((400,)), L.Dense(400, name="fc")])
    tf_pai.save_masks(pruned(model, sparsity=0.5), tmp_path / "masks.npz")
    assert 400 * 400 / 8 <= (tmp_path / "masks.npz").stat().st_size < 400 * 400 / 8 + 2000


def test_the_file_s_name_is_taken_as_it_is(model, tmp_path):
    tf_pai.save_masks(model, str(tmp_path / "masks"))
    assert os.listdir(tmp_path) == ["masks"]
    assert same_masks(read_masks(str(tmp_path / "masks")), tf_pai.get_masks(model))


def test_other_layer_names_are_matched_by_order_and_shape(model, tmp_path, caplog):
    tf_pai.save_masks(model, tmp_path / "masks.npz")
    for other in (perceptron(("dense_7", "dense_8")), pruned(perceptron(("dense_7", "dense_8")))):
        caplog.clear()
        loaded = tf_pai.load_masks(other, tmp_path / "masks.npz")
        for mask, expected in zip(tf_pai.get_masks(loaded).values(), tf_pai.get_masks(model).values(), strict=True):
            np.testing.assert_array_equal(mask, expected)
        assert "differ from the model's; masks were matched by order and shape" in caplog.text


def test_masks_of_another_architecture_are_refused(model, tmp_path):
    tf_pai.save_masks(model, tmp_path / "masks.npz")
    other = keras.Sequential([keras.Input((6,)), L.Dense(9, name="a"), L.Dense(3, name="b")])
    message = r"Received: a file with 'fc1/kernel', which the model lacks, and the shapes do not match in order either"
    with pytest.raises(ValueError, match=message):
        tf_pai.load_masks(other, tmp_path / "masks.npz")


def test_a_plain_model_has_nothing_to_save(tmp_path):
    with pytest.raises(ValueError, match=r"saved from a pruned model\. Received: a model without masks\. Prune it"):
        tf_pai.save_masks(perceptron(), tmp_path / "masks.npz")
    assert not list(tmp_path.iterdir())


def _half(file):
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def _flipped(file):
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 0xFF
    file.write_bytes(content)


def _another_archive(file):
    with open(file, "wb") as stream:
        np.savez(stream, weights=np.ones(3))


def _pickled(file):
    with open(file, "wb") as stream:
        np.savez(stream, paths=np.array(["fc1/kernel", {"pickled": "object"}], dtype=object))


def _bits_missing(file):
    with open(file, "wb") as stream:
        np.savez(stream, paths=np.array(["fc1/kernel"]), shape0=np.array([6, 8]), bits0=np.zeros(1, "uint8"))


@pytest.mark.parametrize(
    "damage",
    [
        _half,
        _flipped,
        _another_archive,
        _pickled,
        _bits_missing,
        lambda f: f.write_bytes(b""),
        lambda f: f.write_text("x"),
    ],
)
def test_damaged_and_other_files_are_refused(damage, model, tmp_path):
    file, before = tmp_path / "masks.npz", tf_pai.get_masks(model)
    tf_pai.save_masks(model, file)
    damage(file)
    with pytest.raises(ValueError, match=r"from a file that tf_pai.save_masks wrote\. Received: '.*masks.npz'"):
        tf_pai.load_masks(model, file)
    assert same_masks(tf_pai.get_masks(model), before)


def test_whichever_byte_is_damaged_no_wrong_mask_is_read(model, tmp_path):
    file, masks = tmp_path / "masks.npz", tf_pai.get_masks(model)
    tf_pai.save_masks(model, file)
    content = file.read_bytes()
    refused = 0
    for i in range(len(content)):
        file.write_bytes(content[:i] + bytes([content[i] ^ 0x55]) + content[i + 1 :])
        try:
            assert same_masks(read_masks(file), masks)
        except ValueError:
            refused += 1
    assert refused > len(content) / 2


def test_a_file_that_is_not_there(model, tmp_path):
    with pytest.raises(FileNotFoundError):
        tf_pai.load_masks(model, tmp_path / "masks.npz")


def test_a_process_killed_while_it_writes_leaves_the_old_file(model, tmp_path):
    file = tmp_path / "masks.npz"
    tf_pai.save_masks(model, file)
    program = textwrap.dedent("""
        import os, signal, sys
        import numpy as np
        from tf_pai import files
        with files.write_whole(sys.argv[1]) as stream:
            np.savez(stream, paths=np.ones(100000))
            stream.flush()
            os.kill(os.getpid(), signal.SIGKILL)
    """)
    killed = subprocess.run([sys.executable, "-c", program, str(file)], capture_output=True)
    assert killed.returncode == -signal.SIGKILL
    assert same_masks(read_masks(file), tf_pai.get_masks(model))


def test_a_full_disk_leaves_the_old_file_and_nothing_else(model, tmp_path, monkeypatch):
    file = tmp_path / "masks.npz"
    tf_pai.save_masks(model, file)
    before = file.read_bytes()

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez_compressed", full)
    with pytest.raises(OSError, match="No space left"):
        tf_pai.save_masks(model, file)
    assert file.read_bytes() == before and os.listdir(tmp_path) == ["masks.npz"]


def test_a_folder_that_is_not_there(model, tmp_path):
    with pytest.raises(FileNotFoundError):
        tf_pai.save_masks(model, pathlib.Path(tmp_path, "nowhere", "masks.npz"))
