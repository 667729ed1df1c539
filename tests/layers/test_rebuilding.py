"""Rebuilding a graph model keeps everything that is not changed."""

import keras
import numpy as np
import pytest

import tf_pai


def test_masks_of_other_layers_stay_when_more_are_added():
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(6, name="a"), keras.layers.Dense(2, name="b")])
    first = tf_pai.prune_at_init(model, "magnitude", 0.5, include="a")
    second = tf_pai.prune_at_init(first, "magnitude", 0.75, include="b")
    np.testing.assert_array_equal(tf_pai.get_masks(second)["a/kernel"], tf_pai.get_masks(first)["a/kernel"])
    assert tf_pai.get_masks(second)["b/kernel"].sum() == 3
    assert tf_pai.verify(second)


def everything_kept(model):
    weights = tf_pai.layers.prunable_weights(model)
    return tf_pai.set_masks(model, {path: np.ones(weight.shape) for path, weight in weights.items()})


X = np.random.default_rng(0).standard_normal((3, 4)).astype("float32")


@pytest.mark.parametrize("copy", [everything_kept, tf_pai.shrink])
def test_what_a_normalization_has_adapted_to_stays(copy):
    normalization = keras.layers.Normalization()
    normalization.adapt(5 * X + 3)
    model = keras.Sequential([keras.Input((4,)), normalization, keras.layers.Dense(6), keras.layers.Dense(2)])
    np.testing.assert_allclose(copy(model)(X), model(X), rtol=1e-5)


def own_activation(x):
    return keras.ops.tanh(x) + 1


def with_own_activation():
    return keras.layers.Dense(6, activation=own_activation)


def with_own_lambda():
    return keras.layers.Lambda(lambda x: keras.ops.abs(x), name="own")


@keras.saving.register_keras_serializable("tests")
def registered(x):
    return keras.ops.tanh(x) + 2


@keras.saving.register_keras_serializable("tests")
class Applied(keras.layers.Layer):
    """Takes its function as a function, or from a configuration as Keras writes it down."""

    def __init__(self, function, **options):
        super().__init__(**options)
        self.function = function

    def call(self, x):
        return self.function(x)

    def get_config(self):
        return {**super().get_config(), "function": keras.saving.serialize_keras_object(self.function)}

    @classmethod
    def from_config(cls, config):
        return cls(**{**config, "function": keras.saving.deserialize_keras_object(config["function"])})


def with_registered_function():
    return Applied(registered)


@pytest.mark.parametrize("layer", [with_own_activation, with_own_lambda, with_registered_function])
@pytest.mark.parametrize("copy", [everything_kept, tf_pai.shrink])
def test_functions_that_keras_does_not_know_by_name(copy, layer):
    """And globals of theirs: Keras' configuration of a Lambda is its code alone."""
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(6), layer(), keras.layers.Dense(2)])
    np.testing.assert_allclose(copy(model)(X), model(X), rtol=1e-5)
