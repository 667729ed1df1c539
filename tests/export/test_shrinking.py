"""Smaller models of the same outputs: what is cut, what stays, and why."""

import re

import keras
import numpy as np
import pytest

import tf_pai
from tests.export.models import outputs, perceptron
from tf_pai import networks

L = keras.layers


def randomized(model, seed=0):
    """BatchNorms as after training, biases that are not zero; but no mean and shift after a depthwise one."""
    rng = np.random.default_rng(seed)
    for variable in model.variables:
        after_depthwise = re.search(r"(after_depthwise|block\d+_bn)/(beta|moving_mean)", variable.path)
        if len(variable.shape) == 1 and "float" in variable.dtype and not after_depthwise:
            variable.assign(rng.uniform(0.5, 1.5, variable.shape))
    return model


def same(model, small, x, tolerance=1e-5):
    one, other = outputs(model, x), outputs(small, x)
    np.testing.assert_allclose(other, one, rtol=0, atol=tolerance * np.abs(one).max())


def residual_net():
    x = inputs = keras.Input((8, 8, 3))
    x = L.ReLU()(L.BatchNormalization()(L.Conv2D(16, 3, padding="same", name="stem")(x)))
    y = L.ReLU()(L.BatchNormalization()(L.Conv2D(24, 3, padding="same", name="inner")(x)))
    y = L.BatchNormalization()(L.Conv2D(16, 3, padding="same", name="branch")(y))
    x = L.ReLU()(L.Add()([x, y]))
    z = L.DepthwiseConv2D(3, padding="same", use_bias=False)(x)
    z = L.ReLU()(L.BatchNormalization(name="after_depthwise")(z))
    x = L.Concatenate()([z, L.Conv2D(8, 1, name="side")(x)])
    x = L.Dense(32, "relu", name="hidden")(L.Flatten()(L.MaxPooling2D(4)(x)))
    return randomized(keras.Model(inputs, L.Dense(5, name="fc")(x)))


def test_filters_are_cut_through_additions_concatenations_depthwise_and_flatten():
    model = residual_net()
    pruned = tf_pai.prune_at_init(model, "random", 0.5, structure="filter", distribution="uniform", seed=0)
    small = tf_pai.shrink(pruned)
    same(pruned, small, np.random.default_rng(0).standard_normal((3, 8, 8, 3)).astype("float32"))
    assert small.get_layer("inner").filters == 12 and small.get_layer("hidden").units == 16
    assert small.get_layer("stem").filters == small.get_layer("branch").filters < 16
    assert small.count_params() < 0.5 * model.count_params()
    assert not any(type(layer).__module__.startswith("tf_pai") for layer in small.layers)


@pytest.mark.parametrize("name", ["resnet_20", "mobilenet_v1", "vgg_11"])
def test_networks(name):
    model = randomized(networks.build(name, input_shape=(16, 16, 3), classes=4, width=0.25, seed=0))
    pruned = tf_pai.prune_at_init(model, "random", 0.5, structure="filter", distribution="uniform", seed=0)
    small = tf_pai.shrink(pruned)
    same(pruned, small, np.random.default_rng(0).standard_normal((2, 16, 16, 3)).astype("float32"))
    assert small.count_params() < 0.75 * model.count_params()


def test_hand_worked_units():
    #        unit:  0       1            2             3
    # in it:        w       0, bias 0    w             0, bias 2
    # out of it:    w       w            0             w
    # so 1 is zero, no output depends on 2, and 3 is the constant 2: its weight 1 times 2 goes to the next bias, 0.5
    model = keras.Sequential([keras.Input((1,)), L.Dense(4, name="hidden"), L.Dense(1, name="fc")])
    model.set_weights(
        [np.array([[1.0, 0, 1, 0]]), np.array([0.0, 0, 1, 2]), np.array([[1.0], [1], [0], [1]]), np.array([0.5])]
    )
    small = tf_pai.shrink(model)
    assert small.get_layer("hidden").kernel.numpy().tolist() == [[1]]
    assert small.get_layer("hidden").bias.numpy().tolist() == [0]
    assert small.get_layer("fc").bias.numpy().tolist() == [2.5]
    same(model, small, np.array([[3.0], [-1.0]], "float32"), 0)
    assert outputs(small, np.array([[3.0]], "float32")).tolist() == [[5.5]]


def image_net(*layers):
    model = keras.Sequential([keras.Input((8, 8, 3)), *layers, L.GlobalAveragePooling2D(), L.Dense(2, name="fc")])
    rng = np.random.default_rng(0)
    for variable in model.variables:
        variable.assign(rng.uniform(0.5, 1.5, variable.shape))
    return model


def without(model, name, filters):
    """Takes all weights of some filters away, and leaves their bias."""
    layer = model.get_layer(name)
    kernel = layer.pointwise_kernel if hasattr(layer, "pointwise_kernel") else layer.kernel
    value = kernel.numpy()
    value[..., filters] = 0
    kernel.assign(value)
    return model


IMAGES = np.random.default_rng(0).standard_normal((2, 8, 8, 3)).astype("float32")


def test_depthwise_convolution_behind_constants():
    """A block of MobileNet: the norm behind the depthwise convolution makes constants of what is cut before it."""
    norm, relu = L.BatchNormalization, L.ReLU
    model = image_net(
        *(L.Conv2D(6, 3, use_bias=False, name="conv"), L.DepthwiseConv2D(3, padding="same", use_bias=False)),
        *(norm(name="norm"), relu(6.0), L.Conv2D(5, 1, use_bias=False, name="pointwise"), norm(), relu()),
    )
    model = without(model, "conv", [1, 4])
    model.get_layer("norm").beta.assign(np.full(6, 3.0))
    small = tf_pai.shrink(model)
    same(model, small, IMAGES)
    assert small.get_layer("conv").filters == 4 and small.get_layer("pointwise").use_bias


@pytest.mark.parametrize("padding, activation, filters", [("valid", "relu", 4), ("same", "relu", 6), ("same", None, 4)])
def test_constants_before_a_convolution(padding, activation, filters):
    """Padding is zero, and a constant is not: with "same", only a bias of 0 lets a filter go."""
    convs = [L.Conv2D(6, 3, activation=activation, name="conv"), L.SeparableConv2D(4, 3, padding=padding)]
    model = without(image_net(*convs, L.Conv2D(3, 1)), "conv", [0, 3])
    if activation is None:
        model.get_layer("conv").bias.assign(np.zeros(6))
    if filters == 6:
        with pytest.warns(UserWarning, match="left pruned filters in place. conv: they .*, or no bias can"):
            small = tf_pai.shrink(model)
    else:
        small = tf_pai.shrink(model)
    same(model, small, IMAGES)
    assert small.get_layer("conv").filters == filters


def test_separable_convolution():
    model = image_net(L.SeparableConv2D(3, 1, name="separable"), L.SeparableConv2D(6, 3, depth_multiplier=2))
    model = without(model, "separable", [1])
    small = tf_pai.shrink(model)
    same(model, small, IMAGES)
    assert small.get_layer("separable").filters == 2


def test_convolution_in_groups_is_left_whole():
    model = without(image_net(L.Conv2D(6, 3, name="conv"), L.Conv2D(4, 3, groups=2, name="grouped")), "conv", [1])
    model = without(model, "grouped", [0])
    with pytest.warns(UserWarning, match=r"conv, grouped: grouped \(Conv2D in 2 groups\) reads or gives them, which"):
        small = tf_pai.shrink(model)
    same(model, small, IMAGES)
    assert small.get_layer("conv").filters == 6


def test_nested_models_are_shrunk_inside():
    inner = keras.Sequential([keras.Input((6,)), L.Dense(5, "relu", name="inside"), L.Dense(6)], name="nested")
    model = keras.Sequential([keras.Input((4,)), L.Dense(6, name="before"), inner, L.Dense(2)])
    model = without(model, "before", [2])
    without(inner, "inside", [0, 1])
    with pytest.warns(UserWarning, match=r"before: nested \(Sequential\) reads or gives them, which is left whole"):
        small = tf_pai.shrink(model)
    same(model, small, np.random.default_rng(0).standard_normal((3, 4)).astype("float32"))
    assert small.get_layer("nested").get_layer("inside").units == 3 and small.get_layer("before").units == 6


def test_a_layer_called_twice_takes_in_zeros_only():
    """Its bias is added each time, the constant that is cut before one of its calls is not."""
    x = keras.Input((4,))
    twice = L.Dense(4, name="twice")
    model = keras.Model(x, L.Dense(2)(twice(twice(L.Dense(4, name="before")(x)))))
    without(model, "before", [1])
    model.get_layer("before").bias.assign([1.0, 2, 3, 4])
    same(model, tf_pai.shrink(model), np.random.default_rng(0).standard_normal((3, 4)).astype("float32"))


def test_widths_stay_multiples_of_eight():
    model = tf_pai.prune_at_init(residual_net(), "random", 0.6, structure="filter", distribution="uniform", seed=0)
    small = tf_pai.shrink(model, round_to=8)
    same(model, small, np.random.default_rng(0).standard_normal((2, 8, 8, 3)).astype("float32"))
    widths = [small.get_layer(name).filters for name in ("stem", "inner", "branch", "side")]
    assert all(width % 8 == 0 for width in widths) and widths[1] == 16


def test_attention_heads():
    x = inputs = keras.Input((6, 8))
    attention = L.MultiHeadAttention(4, 2, name="attention")
    x = L.LayerNormalization()(attention(x, x))
    model = randomized(keras.Model(inputs, L.Dense(3)(x)))
    kernel = attention._output_dense.kernel.numpy()
    kernel[1] = 0  # no output depends on head 1
    attention._output_dense.kernel.assign(kernel)
    value, bias = attention._value_dense.kernel.numpy(), np.ones((4, 2), "float32")
    value[:, 2], bias[2] = 0, 0  # head 2 gives zeros
    attention._value_dense.kernel.assign(value)
    attention._value_dense.bias.assign(bias)
    small = tf_pai.shrink(model)
    assert small.get_layer("attention").num_heads == 2
    same(model, small, np.random.default_rng(0).standard_normal((2, 6, 8)).astype("float32"))


def test_shared_layers_nested_models_and_dead_networks():
    shared = L.Dense(6, "relu", name="shared")
    inner = keras.Sequential([keras.Input((6,)), L.Dense(5, "relu"), L.Dense(6)], name="nested")
    a, b = keras.Input((4,)), keras.Input((4,))
    model = keras.Model([a, b], L.Dense(2, name="fc")(inner(L.Concatenate()([shared(a), shared(b)])[:, :6])))
    model = tf_pai.prune_at_init(model, "random", 0.4, structure="filter", distribution="uniform", seed=0)
    x = [np.random.default_rng(i).standard_normal((3, 4)).astype("float32") for i in range(2)]
    np.testing.assert_allclose(tf_pai.shrink(model)(x), model(x), atol=1e-6)
    dead = tf_pai.set_masks(perceptron(), {"hidden/kernel": np.zeros((64, 64)), "hidden/bias": np.zeros(64)})
    small = tf_pai.shrink(dead)
    assert small.get_layer("hidden").units == 1  # a layer has one unit at least
    same(dead, small, np.ones((2, 64), "float32"))


def test_a_shrunk_model_is_exported(tmp_path):
    model = tf_pai.prune_at_init(perceptron(), "random", 0.5, structure="filter", seed=0)
    report = tf_pai.export_tflite(tf_pai.shrink(model), tmp_path / "small.tflite")
    assert report.relative_difference < 1e-5


def test_errors():
    with pytest.raises(TypeError, match="shrink takes a Sequential or functional Keras 3 model.*Received: int"):
        tf_pai.shrink(3)
    with pytest.raises(ValueError, match="round_to is a positive integer. Received: round_to=0"):
        tf_pai.shrink(perceptron(), round_to=0)
