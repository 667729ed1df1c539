"""Binary activations of Multi-Prize tickets."""

import keras
import numpy as np

import tf_pai
from tests.selection.test_select import L, batch, conv_net, dense_net, digest, select


def test_a_rectifier_that_is_a_layer_s_activation_becomes_a_sign():
    layers = [L.Dense(16, keras.layers.LeakyReLU(), name="fc1"), L.ReLU(), L.Dense(3, name="fc2")]
    model = select(keras.Sequential([keras.Input((8,)), *layers]), tf_pai.selection.MultiPrize("binary"))
    hidden = keras.Model(model.inputs, model.layers[0].output)
    assert set(np.unique(hidden(batch()[0]))) == {-1, 1}


def test_binary_activations_are_signs_and_strip_to_plain_keras(tmp_path):
    rule = tf_pai.selection.MultiPrize(activations="binary")
    for make, shape in ((dense_net, (8,)), (conv_net, (6, 6, 4))):
        x, y = batch(shape)
        model = select(make(), rule)
        before, masks, loss = digest(model), tf_pai.get_masks(model), model.evaluate(x, y, verbose=0)[0]
        model.fit(x, y, epochs=8, verbose=0)
        assert digest(model) == before
        assert model.evaluate(x, y, verbose=0)[0] < loss
        first = next(iter(masks))
        assert (tf_pai.get_masks(model)[first] != masks[first]).any()  # a gradient passes the signs
        model.save(tmp_path / "model.keras")
        loaded = keras.models.load_model(tmp_path / "model.keras")
        assert np.array_equal(loaded(x), model(x))
        plain = tf_pai.strip(model)
        assert "tf_pai" not in str(plain.get_config())
        assert np.allclose(plain(x), model(x), atol=1e-6)
        signs = keras.Model(plain.inputs, plain.layers[0].output if make is dense_net else plain.layers[3].output)
        assert set(np.unique(signs(x))) == {-1, 1}
