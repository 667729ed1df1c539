"""Smaller models where something is rare: layers used again, several outputs, seeds, activations over channels."""

import keras
import numpy as np
import pytest

import tf_pai
from tests.export.test_shrinking import same, without

L = keras.layers
ROWS = np.random.default_rng(0).standard_normal((3, 4)).astype("float32")
SEQUENCES = np.random.default_rng(0).standard_normal((2, 6, 8)).astype("float32")


def filled(model):
    rng = np.random.default_rng(0)
    for variable in model.weights:
        variable.assign(rng.uniform(0.5, 1.5, variable.shape))
    return model


@pytest.mark.parametrize("shared", [L.ReLU, lambda: L.Dropout(0.5)])
def test_a_layer_without_weights_is_used_at_several_widths(shared):
    between, inputs = shared(), keras.Input((4,))
    x = between(L.Dense(8, name="one")(inputs))
    x = between(L.Dense(6, name="two")(x))
    model = without(without(filled(keras.Model(inputs, L.Dense(2)(x))), "one", [1]), "two", [3])
    small = tf_pai.shrink(model)
    same(model, small, ROWS)
    assert (small.get_layer("one").units, small.get_layer("two").units) == (7, 5)


def nested_with_two_outputs(x):
    inner = keras.Input((8,))
    return keras.Model(inner, [L.Dense(5)(inner), L.Dense(3)(inner)], name="inner")(x)


def in_two_parts(x):
    return keras.ops.split(x, [3], axis=-1)


@pytest.mark.parametrize("several", [nested_with_two_outputs, in_two_parts])
def test_outputs_of_several_widths(several):
    inputs = keras.Input((4,))
    one, two = several(L.Dense(8, name="before")(inputs))
    after = L.Dense(6, name="after")(L.Concatenate()([one, two]))
    model = without(without(filled(keras.Model(inputs, L.Dense(2)(after))), "before", [1]), "after", [0])
    with pytest.warns(UserWarning, match="before: .* reads or gives them, which is left whole"):
        small = tf_pai.shrink(model)
    same(model, small, ROWS)
    assert small.get_layer("before").units == 8 and small.get_layer("after").units == 5


def test_groups_of_a_normalization_are_no_convolution_in_groups():
    stack = [keras.Input((6, 8)), L.Dense(8, name="before"), L.GroupNormalization(4), L.Dense(2)]
    model = without(filled(keras.Sequential(stack)), "before", [1])
    with pytest.warns(UserWarning, match=r"\(GroupNormalization\) reads or gives them, which is left whole"):
        same(model, tf_pai.shrink(model), SEQUENCES)


def test_the_seed_of_a_dropout_of_as_many_units_as_it_has_numbers():
    stack = [keras.Input((4,)), L.Dense(2, name="hidden"), L.Dropout(0.3), L.Dense(3)]
    model = without(filled(keras.Sequential(stack)), "hidden", [1])
    small = tf_pai.shrink(model)
    same(model, small, ROWS)
    assert small.get_layer("hidden").units == 1


def attention_net(scores=False, **options):
    inputs = keras.Input((6, 8))
    attention = L.MultiHeadAttention(4, 2, **options)
    found = attention(inputs, inputs, return_attention_scores=scores)
    model = filled(keras.Model(inputs, list(found) if scores else L.Dense(3)(found)))
    kernel = attention._output_dense.kernel.numpy()
    kernel[1] = 0  # no output depends on head 1
    attention._output_dense.kernel.assign(kernel)
    return model


@pytest.mark.parametrize("options", [{"dropout": 0.1}, {"name": "attention_output"}])
def test_heads_of_an_attention_with_a_seed_or_an_unlucky_name(options):
    model = attention_net(**options)
    small = tf_pai.shrink(model)
    same(model, small, SEQUENCES)
    assert small.layers[1].num_heads == 3


def test_heads_whose_scores_are_an_output_stay():
    model = attention_net(scores=True)
    for one, other in zip(model(SEQUENCES), tf_pai.shrink(model)(SEQUENCES), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5)


def shares(x):
    return x / keras.ops.sum(keras.ops.abs(x), axis=-1, keepdims=True)


@pytest.mark.parametrize("activation", ["sparsemax", shares, L.Softmax()])
def test_activations_over_channels(activation):
    """No output depends on unit 2 by its weights, but the activation of all others does."""
    stack = [keras.Input((4,)), L.Dense(8, activation=activation, name="hidden"), L.Dense(3, name="fc")]
    model = filled(keras.Sequential(stack))
    kernel = model.get_layer("fc").kernel.numpy()
    kernel[2] = 0
    model.get_layer("fc").kernel.assign(kernel)
    same(model, tf_pai.shrink(model), ROWS)


def test_depthwise_softmax():
    stack = [keras.Input((6, 8)), L.Dense(8, name="before"), L.DepthwiseConv1D(3, activation="softmax"), L.Dense(2)]
    model = without(filled(keras.Sequential(stack)), "before", [1])
    with pytest.warns(UserWarning, match=r"\(DepthwiseConv1D\) reads or gives them"):
        same(model, tf_pai.shrink(model), SEQUENCES)


def test_a_constant_too_large_to_be_taken_in():
    stack = [keras.Input((4,)), L.Dense(4, "exponential", name="hidden"), L.Dense(3, "sigmoid"), L.Dense(2)]
    model = without(filled(keras.Sequential(stack)), "hidden", [1])
    model.get_layer("hidden").bias.assign([0.0, 200, 0, 0])  # its exponential is infinite
    with pytest.warns(UserWarning, match="hidden: they are added to channels that stay, or no bias can take in"):
        same(model, tf_pai.shrink(model), ROWS)


def test_layers_with_adapters_stay_whole():
    model = without(filled(keras.Sequential([keras.Input((4,)), L.Dense(8, name="hidden"), L.Dense(2)])), "hidden", [1])
    model.get_layer("hidden").enable_lora(2)
    model.get_layer("hidden").lora_kernel_b.assign(np.ones((2, 8)))
    same(model, tf_pai.shrink(model), ROWS)


def test_an_unbuilt_model_is_refused():
    with pytest.raises(ValueError, match="shrink takes a built model. Received: 'sequential.*. Call it on data first"):
        tf_pai.shrink(keras.Sequential([L.Dense(3)]))
