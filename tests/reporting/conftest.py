"""One pruned network and its report, for all tests here."""

import keras
import numpy as np
import pytest

import tf_pai


def small_model():
    layers = [keras.Input((6,)), keras.layers.Dense(8, activation="relu", name="fc1")]
    return keras.Sequential([*layers, keras.layers.Dense(3, name="fc2")], name="small")


@pytest.fixture
def plain_model():
    keras.utils.set_random_seed(0)
    return small_model()


@pytest.fixture
def pruned(plain_model):
    x, y = np.random.default_rng(0).normal(size=(12, 6)), np.arange(12) % 3
    return tf_pai.prune_at_init(plain_model, "snip", 0.5, data=(x, y), seed=7)


@pytest.fixture
def full(pruned):
    """A report with everything that a run adds."""
    report = tf_pai.report(pruned)
    report.config = {"method": "snip", "learning_rate": np.float32(0.1)}
    report.metrics = {"dense_accuracy": 0.98, "sparse_accuracy": 0.97}
    report.history = {"accuracy": [0.5, None, 0.7], "val_accuracy": [0.4, 0.6, 0.65], "loss": [2.0, 1.0, 0.5]}
    report.sections = {"Sizes <of files>": [{"form": "dense", "MB": 1.5}, {"form": "sparse", "note": "[bold]&"}]}
    report.command = "python -m experiments.prune --method=snip --note='<&>'"
    return report
