import keras
import numpy as np
import pytest
import tensorflow as tf

import tf_pai
from tf_pai.layers import prunable_layers
from tf_pai.layers.dynamic import (
    DynamicLayer,
    forget,
    keep_dense_weights,
    recall,
    remember,
    set_dense_weights_aside,
)

MASK = np.array([[1, 0], [0, 1]], bool)


@pytest.fixture
def model():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2, use_bias=False, name="fc")])
    model.layers[0].kernel.assign([[1.0, 2.0], [3.0, 4.0]])
    model = tf_pai.set_masks(model, {"fc/kernel": MASK})
    model.compile(keras.optimizers.SGD(0.5), "mse")
    return model


def layer_of(model):
    (layer,) = prunable_layers(model).values()
    return layer


def test_memory_is_saved_and_restored(model, tmp_path):
    remember(layer_of(model), "sign/kernel", MASK)
    remember(layer_of(model), "threshold", np.float32(0.25))
    model.save(tmp_path / "m.keras")
    layer = layer_of(keras.models.load_model(tmp_path / "m.keras"))
    assert isinstance(layer, DynamicLayer)
    assert (recall(layer, "sign/kernel").numpy() == MASK).all() and float(recall(layer, "threshold")) == 0.25
    assert (layer.get_masks()["kernel"] == MASK).all() and recall(layer, "other") is None


def test_forgetting_leaves_a_plain_prunable_layer(model, tmp_path):
    layer = layer_of(model)
    variables = len(model.non_trainable_variables)
    remember(layer, "sign/kernel", MASK)
    keep_dense_weights(layer)
    layer.kernel.assign(np.ones((2, 2)))
    forget(layer)
    forget(layer)
    assert type(layer) is tf_pai.PrunableLayer and len(model.non_trainable_variables) == variables
    assert tf_pai.verify(model) and recall(layer, "sign/kernel") is None
    model.save(tmp_path / "m.keras")
    assert type(layer_of(keras.models.load_model(tmp_path / "m.keras"))) is tf_pai.PrunableLayer


class TestDenseWeights:
    def test_the_network_computes_without_pruned_weights_which_learn(self, model, tmp_path):
        layer = layer_of(model)
        keep_dense_weights(layer)
        layer.kernel.assign(np.ones((2, 2)))
        x = np.eye(2, dtype="float32")
        np.testing.assert_array_equal(model(x), MASK.astype("float32"))
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(model(x))
        np.testing.assert_array_equal(tape.gradient(loss, layer.kernel.value), np.ones((2, 2)))
        model.fit(x, np.zeros((2, 2)), verbose=0)
        assert (layer.kernel.numpy()[~MASK] == 1).all() and (layer.kernel.numpy()[MASK] < 1).all()
        model.save(tmp_path / "m.keras")
        loaded = keras.models.load_model(tmp_path / "m.keras")
        np.testing.assert_array_equal(layer_of(loaded).kernel.numpy(), layer.kernel.numpy())
        np.testing.assert_array_equal(loaded(x), model(x))

    def test_only_those_of_the_backward_mask_learn_and_are_penalised(self, model):
        layer = layer_of(model)
        remember(layer, "backward/kernel", np.array([[1, 1], [0, 1]], bool))
        keep_dense_weights(layer, exploration=(0.1, 2.0))
        layer.kernel.assign([[1.0, 2.0], [3.0, 4.0]])
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(model(np.eye(2, dtype="float32")))
        #                g + 0.1 w in A     g + 0.1 * 2 w in B - A     0 elsewhere
        expected = [[1 + 0.1 * 1, 1 + 0.2 * 2], [0, 1 + 0.1 * 4]]
        np.testing.assert_allclose(tape.gradient(loss, layer.kernel.value), expected, rtol=1e-6)

    def test_set_aside_and_taken_up_again(self, model, tmp_path):
        layer = layer_of(model)
        keep_dense_weights(layer)
        layer.kernel.assign([[1.0, 2.0], [3.0, 4.0]])
        set_dense_weights_aside(layer)
        assert tf_pai.verify(model)
        model.save(tmp_path / "m.keras")
        layer = layer_of(keras.models.load_model(tmp_path / "m.keras"))
        keep_dense_weights(layer)
        np.testing.assert_array_equal(layer.kernel.numpy(), [[1.0, 2.0], [3.0, 4.0]])
        assert recall(layer, "aside/kernel") is None
