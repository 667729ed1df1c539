"""Memory is bounded: random inputs are as many as fit, arrays are cut, and it is said."""

import logging

import keras
import numpy as np
import pytest

import tf_pai
from tests.criteria import models
from tf_pai.criteria import memory


def test_bytes_of_a_forward_pass():
    model = keras.Sequential([keras.Input((10,)), keras.layers.Dense(100, activation="relu"), keras.layers.Dense(5)])
    # outputs of matmul, bias and activation of 100 and of matmul and bias of 5, float32; identities may add to these
    need = memory.bytes_per_example(model, np.zeros((64, 10), "float32"))
    assert 4 * (3 * 100 + 2 * 5) <= need <= 4 * (6 * 100 + 4 * 5)


def test_what_does_not_fit_is_cut_and_said(caplog):
    model, x = models.dense(), np.zeros((64, 6), "float32")
    need = memory.bytes_per_example(model, x)
    assert memory.micro_batch(model, x, training=False, bound=64 * need) is None
    with caplog.at_level(logging.INFO, "tf_pai"):
        assert memory.micro_batch(model, x, training=True, bound=20 * need) == 20
    assert "Scoring 64 examples in micro-batches of 20" in caplog.text


def test_batch_statistics_of_more_than_fits_are_refused():
    model, x = models.norm_net(), np.zeros((64, 8, 8, 2), "float32")
    with pytest.raises(ValueError, match=r"Pass at most 1 examples, a dataset of smaller batches, or a criterion with"):
        memory.micro_batch(model, x, training=True, bound=1)


@pytest.mark.filterwarnings("ignore:GraSP depends on training data")
@pytest.mark.parametrize("method", ["grasp", "ntk_sap"])
def test_random_inputs_are_as_many_as_fit(method, monkeypatch):
    model = models.norm_net()
    monkeypatch.setattr(memory.examples_that_fit, "__defaults__", (1,))
    monkeypatch.setattr(memory.micro_batch, "__defaults__", (1,))
    scores = tf_pai.score(model, method, seed=0)  # with one example, in training mode: not refused
    assert all(np.isfinite(score).all() for score in scores.values())
