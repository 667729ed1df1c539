"""Batch normalization behind sparse convolutions: Keras' results, and the way there and back."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tf_pai
from tests.compute.models import LOSS, data, difference, pruned
from tf_pai.layers import FusedBatchNormalization

L = keras.layers
Norm = L.BatchNormalization


def pair(**options):
    """Keras' layer and the fused one, of the same random weights."""
    plain = Norm(**options)
    plain.build((None, 5, 6, 4))
    rng = np.random.default_rng(1)
    plain.set_weights([rng.uniform(0.5, 2, weight.shape) for weight in plain.weights])
    return plain, FusedBatchNormalization.from_dense(plain)


def outcome(layer, x, training, **options):
    """Output, gradients by input and weights, and moving averages, of a call in a graph."""
    x = tf.constant(x, layer.compute_dtype)
    dy = tf.constant(np.random.default_rng(2).standard_normal(x.shape), layer.compute_dtype)

    @tf.function
    def run():
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x, training=training, **options)
        sources = [x, *(variable.value for variable in layer.trainable_variables)]
        return y, tape.gradient(y, sources, output_gradients=dy)

    y, gradients = run()
    return [np.asarray(tf.cast(value, "float64")) for value in (y, *gradients, *layer.non_trainable_variables)]


CASES = {
    "plain": {},
    "no scale": {"scale": False, "momentum": 0.9},
    "no center": {"center": False, "epsilon": 0.1},
    "last axis": {"axis": 3},
    "another axis": {"axis": 1},
    "float64": {"dtype": "float64"},
    "mixed_bfloat16": {"dtype": "mixed_bfloat16"},
    "bfloat16": {"dtype": "bfloat16"},
    "frozen": {"trainable": False},
    "synchronized": {"synchronized": True},
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("training", [True, False])
def test_results_are_those_of_keras(name, training):
    if CASES[name].get("axis") == 1:
        x = np.random.default_rng(0).standard_normal((7, 4, 6, 3))
        plain = Norm(axis=1)
        plain.build(x.shape)
        fused = FusedBatchNormalization.from_dense(plain)
    else:
        x = 3 + 2 * np.random.default_rng(0).standard_normal((7, 5, 6, 4))
        plain, fused = pair(**CASES[name])
    assert fused.dtype_policy == plain.dtype_policy and fused.trainable == plain.trainable
    tolerance = {"mixed_bfloat16": 1e-2, "bfloat16": 1e-2, "float64": 1e-12}.get(name, 1e-5)
    got, expected = outcome(fused, x, training), outcome(plain, x, training)
    assert len(got) == len(expected)
    for one, other in zip(got, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=tolerance, atol=tolerance * (1e-30 + np.abs(other).max()))


def test_a_masked_input_counts_what_the_mask_keeps():
    x = np.random.default_rng(0).standard_normal((7, 5, 6, 4))
    plain, fused = pair()
    mask = tf.constant(np.random.default_rng(3).random((7, 5, 6)) < 0.5)
    for one, other in zip(outcome(fused, x, True, mask=mask), outcome(plain, x, True, mask=mask), strict=True):
        np.testing.assert_array_equal(one, other)


def test_training_runs_the_fused_op_and_inference_does_not():
    plain, fused = pair()
    x = tf.zeros((2, 5, 6, 4))

    def ops(layer, training):
        graph = tf.function(lambda x: layer(x, training=training)).get_concrete_function(x).graph
        return {operation.type for operation in graph.get_operations()}

    assert "FusedBatchNormV3" in ops(fused, True) and "FusedBatchNormV3" not in ops(plain, True)
    assert ops(fused, False) == ops(plain, False)


def convolutions(norms=({}, {})):
    """Two convolutions with batch normalization, no biases: before a normalization these are rounding errors."""
    keras.utils.set_random_seed(3)
    inputs = keras.Input((8, 8, 2))
    x = L.Conv2D(6, 3, padding="same", use_bias=False, name="conv_1")(inputs)
    x = L.ReLU()(Norm(name="norm_1", **norms[0])(x))
    y = Norm(name="norm_2", **norms[1])(L.Conv2D(6, 3, padding="same", use_bias=False, name="conv_2")(x))
    x = L.GlobalAveragePooling2D()(L.ReLU()(L.Add()([x, y])))
    return keras.Model(inputs, L.Dense(3, name="fc")(x))


def classes(model):
    return {name: type(model.get_layer(name)) for name in ("norm_1", "norm_2")}


def compiled(model):
    model.compile(keras.optimizers.SGD(0.05, momentum=0.9), LOSS)
    return model


def test_there_and_back_training_goes_the_same_way(tmp_path):
    x, y = data()
    masked = compiled(pruned(convolutions()))
    sparse = tf_pai.to_sparse(masked)
    assert set(classes(sparse).values()) == {FusedBatchNormalization} and set(classes(masked).values()) == {Norm}
    for model in (masked, sparse):
        model.fit(x, y, batch_size=16, epochs=5, shuffle=False, verbose=0)
    assert difference(masked, sparse) < 1e-4
    np.testing.assert_allclose(masked.predict(x, verbose=0), sparse.predict(x, verbose=0), atol=1e-4)
    back = tf_pai.to_dense(sparse)
    assert set(classes(back).values()) == {Norm} == set(classes(tf_pai.strip(sparse)).values())
    assert [weight.path for weight in back.weights] == [weight.path for weight in masked.weights]
    sparse.save(tmp_path / "sparse.keras")
    loaded = keras.models.load_model(tmp_path / "sparse.keras")
    clone = keras.models.clone_model(sparse)
    clone.set_weights(sparse.get_weights())
    assert classes(loaded) == classes(clone) == classes(sparse)
    for model in (sparse, loaded):
        model.fit(x, y, batch_size=16, shuffle=False, verbose=0)
    assert all(np.array_equal(a, b) for a, b in zip(sparse.get_weights(), loaded.get_weights(), strict=True))
    back.fit(x, y, batch_size=16, shuffle=False, verbose=0)
    assert difference(back, sparse) < 1e-4


def test_what_keras_alone_computes_stays_as_it_is():
    norms = {"renorm": True}, {"trainable": False}
    sparse = tf_pai.to_sparse(pruned(convolutions(norms)))
    assert classes(sparse) == {"norm_1": Norm, "norm_2": FusedBatchNormalization}
    assert not sparse.get_layer("norm_2").trainable
    nothing_sparse = pruned(convolutions(), include="conv_1")
    nothing_sparse.get_layer("conv_1").layer.kernel_constraint = keras.constraints.MaxNorm()
    assert set(classes(tf_pai.to_sparse(nothing_sparse)).values()) == {Norm}


@keras.saving.register_keras_serializable("tests")
class Normed(keras.Model):
    """A subclassed model with batch normalization."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.conv, self.norm = L.Conv2D(6, 3), Norm(name="norm")
        self.rest = [L.Flatten(), L.Dense(3)]

    def call(self, x, training=None):
        x = self.norm(self.conv(x), training=training)
        for layer in self.rest:
            x = layer(x)
        return x


def test_subclassed_models(tmp_path):
    x, y = data()
    model = Normed()
    model(x)
    sparse = compiled(tf_pai.to_sparse(pruned(model)))
    sparse.fit(x, y, verbose=0)
    assert type(sparse.norm) is FusedBatchNormalization
    sparse.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert type(loaded.norm) is FusedBatchNormalization
    np.testing.assert_array_equal(loaded.predict(x, verbose=0), sparse.predict(x, verbose=0))
    assert type(tf_pai.strip(sparse).norm) is Norm
