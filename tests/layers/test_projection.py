"""Where the native kernels are built, Keras' own step sets pruned weights to zero in place; else it multiplies."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tf_pai
from tests.layers.support import LOSS, pruned
from tf_pai import kernels

Opt, L = keras.optimizers, keras.layers


@pytest.fixture
def written(monkeypatch):
    """The weights that were written in place, by name, as often as a graph was traced."""
    if not kernels.available():
        pytest.skip(f"the native kernels are not available: {kernels.reason()}")
    names, zero_pruned = [], kernels.zero_pruned

    def noted(variable, mask):
        names.append(variable.name)
        return zero_pruned(variable, mask)

    monkeypatch.setattr(kernels, "zero_pruned", noted)
    return names


def network(**options):
    keras.utils.set_random_seed(0)
    layers = [L.Conv2D(6, 3, name="conv"), L.ReLU(), L.Flatten(), L.Dense(3, name="fc", **options)]
    return keras.Sequential([keras.Input((6, 6, 2)), *layers])


def images(examples=40):
    rng = np.random.default_rng(0)
    return rng.standard_normal((examples, 6, 6, 2)).astype("float32"), rng.integers(0, 3, examples)


def trained_weights(model, **options):
    model.fit(*images(), batch_size=8, epochs=2, shuffle=False, verbose=0, **options)
    assert tf_pai.verify(model)
    return model.get_weights()


CASES = {
    "SGD": (lambda: Opt.SGD(0.05, momentum=0.9), {}),
    "Adam": (lambda: Opt.Adam(0.01), {}),
    "accumulation": (lambda: Opt.Adam(0.01, gradient_accumulation_steps=2), {}),
    "EMA": (lambda: Opt.SGD(0.05, use_ema=True, ema_momentum=0.5), {}),
    "Muon": (lambda: Opt.Muon(0.01), {}),
    "several steps": (lambda: Opt.Adam(0.01), {"steps_per_execution": 3}),
}


@pytest.mark.parametrize("name", CASES)
def test_the_trained_weights_are_the_same_bit_for_bit(name, written, monkeypatch):
    make, options = CASES[name]
    in_place = trained_weights(pruned(network(), optimizer=make(), **options))
    assert written
    written.clear()
    monkeypatch.setattr(kernels, "built", lambda: False)
    multiplied = trained_weights(pruned(network(), optimizer=make(), **options))
    assert not written
    for one, other in zip(in_place, multiplied, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("options", [{"jit_compile": True}, {"run_eagerly": True}])
def test_not_under_xla_and_not_eagerly(options, written):
    trained_weights(pruned(network(), optimizer="sgd", **options))
    assert not written


def test_not_in_a_loop_of_one_s_own(written):
    """There, what a constraint returns may be for other things than for the weight itself."""
    model = pruned(network(), optimizer="sgd")
    x, y = images(8)

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            loss = LOSS(y, model(x, training=True))
        weights = model.trainable_variables
        model.optimizer.apply(tape.gradient(loss, [w.value for w in weights]), weights)

    step()
    assert not written and tf_pai.verify(model)


def test_not_beside_a_constraint_of_the_user_s(written):
    model = pruned(network(kernel_constraint=keras.constraints.NonNeg()), optimizer="sgd")
    trained_weights(model)
    assert len(written) == 1, "the convolution's only"
    assert (model.get_layer("fc").kernel.numpy() >= 0).all()


def test_masks_that_move_take_effect_at_once(written):
    model = pruned(network(), optimizer="sgd")
    trained_weights(model)
    for seed in range(3):
        rng = np.random.default_rng(seed)
        masks = {path: rng.random(mask.shape) < 0.5 for path, mask in tf_pai.get_masks(model).items()}
        for layer in model.layers:
            if isinstance(layer, tf_pai.PrunableLayer):
                layer.set_masks({path: masks[f"{layer.name}/{path}"] for path in layer.get_masks()})
        trained_weights(model)
        for path, mask in tf_pai.get_masks(model).items():
            np.testing.assert_array_equal(mask, masks[path])
    assert written
