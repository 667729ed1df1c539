"""What else of the package is asked of a selected model: its weights are frozen, and scores are trained."""

import keras
import numpy as np
import pytest

import tf_pai
from tf_pai import callbacks, kernels

LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


@pytest.fixture
def selected():
    layers = [keras.layers.Dense(32, "relu", name="a"), keras.layers.Dense(4, name="b")]
    model = tf_pai.select_subnet(keras.Sequential([keras.Input((16,)), *layers]), "hidden", seed=0)
    model.compile("sgd", LOSS)
    model.fit(*data(), verbose=0)
    return model


def data():
    return np.random.default_rng(0).normal(size=(64, 16)).astype("f4"), np.arange(64) % 4


def as_weights(model):
    """What the messages name."""
    return tf_pai.set_masks(tf_pai.strip(model), tf_pai.get_masks(model))


def test_it_is_made_sparse_after_its_weights_are_plain_ones_again(selected):
    with pytest.raises(ValueError, match=r"takes layers that train their weights. Received: .* select_subnet froze"):
        tf_pai.to_sparse(selected)
    sparse = tf_pai.to_sparse(as_weights(selected))
    assert tf_pai.sparsity(sparse) == 0.5
    assert bool(tf_pai.layers.sparse_layers(sparse)) == kernels.available()
    np.testing.assert_allclose(sparse(data()[0]), selected(data()[0]), atol=1e-6)


@pytest.mark.parametrize("method", [callbacks.SET, callbacks.RigL])
def test_its_masks_are_not_moved_but_those_of_its_weights_are(method, selected):
    with pytest.raises(ValueError, match=r"no prunable weight is. select_subnet froze them: train tf_pai.set_masks"):
        selected.fit(*data(), verbose=0, callbacks=[method(update_every=1)])
    model = as_weights(selected)
    model.compile("sgd", LOSS)
    model.fit(*data(), verbose=0, callbacks=[method(update_every=1)])
    assert tf_pai.sparsity(model) == 0.5
