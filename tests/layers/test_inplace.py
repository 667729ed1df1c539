import keras
import numpy as np

import tf_pai
from tf_pai.layers import prunable_weights
from tf_pai.layers.inplace import wrap_in_place

L = keras.layers
X = np.random.default_rng(0).random((16, 8)).astype("float32")


def functional():
    """A shared layer, a nested Sequential, outputs in a dict."""
    x = inputs = keras.Input((8,))
    shared = L.Dense(8, name="shared")
    inner = keras.Sequential([keras.Input((8,)), L.Dense(6, name="a"), L.Dense(8, name="b")], name="inner")
    x = shared(shared(x))
    return keras.Model(inputs, {"out": L.Dense(3, name="last")(x + inner(x))})


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.blocks = [L.Dense(8), L.Dense(3)]

    def call(self, x):
        return self.blocks[1](self.blocks[0](x))


def check(model, paths):
    y = keras.tree.map_structure(np.zeros_like, model.predict(X, verbose=0))
    model.compile("adam", keras.tree.map_structure(lambda _: "mse", y))
    model.fit(X, y, verbose=0)
    expected, variables = model.predict(X, verbose=0), [id(v) for v in model.trainable_variables]
    wrap_in_place(model, list(prunable_weights(model)))
    assert list(tf_pai.get_masks(model)) == paths
    assert [id(v) for v in model.trainable_variables] == variables
    keras.tree.map_structure(np.testing.assert_array_equal, model.predict(X, verbose=0), expected)
    model.fit(X, y, verbose=0)  # with the optimizer that it has
    return model


def test_functional_nested_and_shared():
    model = check(functional(), ["shared/kernel", "inner/a/kernel", "inner/b/kernel", "last/kernel"])
    copy = keras.models.clone_model(model)
    assert list(tf_pai.get_masks(copy)) == list(tf_pai.get_masks(model))


def test_sequential_and_saving(tmp_path):
    model = check(
        keras.Sequential([keras.Input((8,)), L.Dense(6, name="a"), L.Dense(3, name="b")]), ["a/kernel", "b/kernel"]
    )
    model.save(tmp_path / "m.keras")
    loaded = keras.models.load_model(tmp_path / "m.keras")
    assert list(tf_pai.get_masks(loaded)) == ["a/kernel", "b/kernel"]
    np.testing.assert_array_equal(loaded.predict(X, verbose=0), model.predict(X, verbose=0))


def test_subclassed():
    model = Subclassed()
    model(X)
    check(model, ["blocks/0/kernel", "blocks/1/kernel"])


def test_only_some_weights():
    model = functional()
    wrap_in_place(model, ["inner/a/kernel"])
    assert list(tf_pai.get_masks(model)) == ["inner/a/kernel"]
    assert tf_pai.set_masks(model, {"inner/a/kernel": np.zeros((8, 6))}) is model


def test_another_model_of_the_same_layers_stays_as_it_was():
    inputs = keras.Input((8,))
    hidden = L.Dense(4, name="hidden")(inputs)
    encoder, whole = keras.Model(inputs, hidden), keras.Model(inputs, L.Dense(2, name="last")(hidden))
    wrap_in_place(whole, ["hidden/kernel"])
    assert tf_pai.get_masks(encoder) == {} and isinstance(encoder.layers[1], L.Dense)
    assert encoder.layers[1].kernel is whole.layers[1].kernel
