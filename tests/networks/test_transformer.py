"""The encoder block: projections that differ, and the formula of attention."""

import keras
import numpy as np

from tf_pai.networks.blueprint import Blueprint
from tf_pai.networks.transformer import attention, encoder_block


def model_of(make):
    net = Blueprint("net", (6, 8), 2, seed=3)
    inputs = keras.Input((6, 8))
    return keras.Model(inputs, make(net, inputs))


def test_query_key_value_and_output_start_different():
    layer = model_of(lambda net, x: attention(net, x, heads=2, name="attention")).get_layer("attention")
    query, key, value = (part.kernel.numpy() for part in (layer.query_dense, layer.key_dense, layer.value_dense))
    assert not np.array_equal(query, key) and not np.array_equal(key, value) and not np.array_equal(query, value)
    again = layer.query_dense.kernel_initializer(query.shape)
    np.testing.assert_array_equal(query, again)


def test_a_block_whose_branches_are_zero_is_the_identity():
    model = model_of(lambda net, x: encoder_block(net, x, heads=2, dropout=0.0, name="block"))
    for part in (model.get_layer("block_attention").output_dense, model.get_layer("block_mlp2")):
        part.kernel.assign(np.zeros(part.kernel.shape))
    x = np.random.default_rng(0).normal(size=(2, 6, 8)).astype("float32")
    np.testing.assert_array_equal(model(x), x)


def test_dropout_follows_both_branches():
    model = model_of(lambda net, x: encoder_block(net, x, heads=2, dropout=0.1, name="block"))
    assert [layer.name for layer in model.layers if isinstance(layer, keras.layers.Dropout)] == [
        "block_attention_dropout",
        "block_mlp_dropout",
    ]
