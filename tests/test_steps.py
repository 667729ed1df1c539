import numpy as np
import pytest

from tf_pai.steps import to_steps


@pytest.mark.parametrize(
    "value, steps", [(0, 0), (7, 7), (np.int64(7), 7), ("500it", 500), ("2ep", 20), ("1ep5it", 15), ("0it", 0)]
)
def test_spellings(value, steps):
    assert to_steps(value, steps_per_epoch=10) == steps


def test_iterations_need_no_epoch():
    assert to_steps("500it") == 500


@pytest.mark.parametrize("value", ["", "5", "it", "5 epochs", "ep2", "-3it", "1.5ep"])
def test_other_spellings_are_refused(value):
    with pytest.raises(ValueError, match=r"update_every is a number of steps.*\"500it\", \"2ep\".*Received"):
        to_steps(value, 10, "update_every")


@pytest.mark.parametrize("value", [None, 1.5, True, [1]])
def test_other_types_are_refused(value):
    with pytest.raises(TypeError, match="is a number of steps"):
        to_steps(value, 10)


def test_negative_numbers_are_refused():
    with pytest.raises(ValueError, match="Received: end_step=-1, which is negative"):
        to_steps(-1, 10, "end_step")


def test_epochs_of_unknown_length_are_refused():
    with pytest.raises(ValueError, match="Received: end_step='2ep' for data of unknown length"):
        to_steps("2ep", None, "end_step")
