import subprocess
import sys

import pytest

from tf_pai.datasets import load


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"batch_size": 0}, ValueError, r"A batch has at least one example\. Received: batch_size=0"),
        ({"batch_size": 1438}, ValueError, r"batch_size=1438, but 'digits' has 1437 training examples\. Use smaller"),
        ({"batch_size": 12.5}, TypeError, r"batch_size is a Integral\. Received: batch_size=12\.5"),
        ({"batch_size": True}, TypeError, "Received: batch_size=True"),
        ({"seed": None}, TypeError, "Received: seed=None"),
        (
            {"validation_fraction": 1.0},
            ValueError,
            r"validation_fraction is in \[0, 1\)\. Received: validation_fraction=1",
        ),
        ({"validation_fraction": "0.1"}, TypeError, "Received: validation_fraction='0.1'"),
        ({"validation_fraction": 0.0001}, ValueError, "The validation split of 'digits' is empty"),
    ],
)
def test_wrong_arguments_are_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        load("digits", **arguments)


def test_names_are_strings():
    with pytest.raises(TypeError, match=r"name is a str\. Received: name=3"):
        load(3)


def test_colour_images_are_standardised_by_published_constants_or_by_their_own(prepared):
    measured = load("tfds:toy_arrays", data_dir=prepared, batch_size=4).standardise
    assert len(measured.mean) == 3 and all(110 < value < 145 for value in measured.mean)


def test_augmentation_can_be_switched_off(prepared):
    on, off = (load("tfds:toy_arrays", data_dir=prepared, batch_size=30, augment=augment) for augment in (True, False))
    (x_on, y_on), (x_off, y_off) = (next(data.train(0).as_numpy_iterator()) for data in (on, off))
    assert (y_on == y_off).all() and (x_on != x_off).any()


def test_the_embedded_set_needs_no_tfds():
    code = (
        "import sys; from tf_pai import datasets; next(iter(datasets.load('digits').train(0)));"
        "sys.exit('tensorflow_datasets' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, capture_output=True).returncode == 0
