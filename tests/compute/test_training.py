"""Training with the kept values only gives what training with masks gives."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tf_pai
from tests.compute.models import LOSS, data, difference, masked_and_sparse, network, pruned, subclassed

OPTIMIZERS = {
    "SGD": lambda: keras.optimizers.SGD(0.02),
    "Nesterov, clipped": lambda: keras.optimizers.SGD(0.02, momentum=0.9, nesterov=True, global_clipnorm=0.5),
    "Adam, AMSGrad": lambda: keras.optimizers.Adam(1e-3, amsgrad=True),
    "AdamW, averaged": lambda: keras.optimizers.AdamW(1e-3, weight_decay=0.01, use_ema=True, ema_momentum=0.9),
    "Adam, accumulated": lambda: keras.optimizers.Adam(1e-3, gradient_accumulation_steps=2),
    "Nadam": lambda: keras.optimizers.Nadam(1e-3),
    "Adamax": lambda: keras.optimizers.Adamax(1e-3),
    "RMSprop, centered": lambda: keras.optimizers.RMSprop(1e-3, centered=True, momentum=0.5),
    "Adagrad": lambda: keras.optimizers.Adagrad(0.01),
    "Adadelta": lambda: keras.optimizers.Adadelta(0.1),
    "Ftrl": lambda: keras.optimizers.Ftrl(0.01),
    "Lamb": lambda: keras.optimizers.Lamb(1e-3),
    "loss scaling": lambda: keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.02, momentum=0.9)),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_same_weights_after_100_steps(name):
    x, y = data(160)
    masked, sparse = masked_and_sparse(OPTIMIZERS[name])
    assert {type(layer).__name__ for layer in sparse.layers} >= {"SparseConv2D", "SparseEinsumDense", "SparseDense"}
    start = masked.layers[0].layer.kernel.numpy()
    for model in (masked, sparse):
        model.fit(x, y, batch_size=16, epochs=10, shuffle=False, verbose=0)
    assert difference(masked, sparse) <= 1e-4
    assert np.abs(masked.layers[0].layer.kernel.numpy() - start).max() > 1e-4
    assert tf_pai.verify(sparse)


def test_lion_takes_the_same_step_in_float64():
    """Its update is a sign, which a rounding error turns; in float64 there is none that does."""
    x, y = data(16)
    layer = keras.layers.Dense(5, dtype="float64", name="fc")
    masked = pruned(keras.Sequential([keras.Input((8, 8, 2)), keras.layers.Flatten(), layer]))
    plain = masked.layers[1].layer
    flat = np.flatnonzero(tf_pai.get_masks(masked)["fc/kernel"])
    sparse = keras.Sequential(
        [keras.Input((8, 8, 2)), keras.layers.Flatten(), tf_pai.layers.SparseDense.from_dense(plain, flat)]
    )
    start = sparse.layers[1].kernel.numpy()
    for model in (masked, sparse):
        model.compile(keras.optimizers.Lion(1e-3), LOSS)
        model.train_on_batch(x, y)
    assert difference(masked, sparse) == 0
    assert not np.array_equal(sparse.layers[1].kernel.numpy(), start)


def test_slots_have_one_entry_for_each_kept_weight():
    _, sparse = masked_and_sparse(lambda: keras.optimizers.Adam())
    sparse.optimizer.build(sparse.trainable_variables)
    kernels = [weight for weight in sparse.trainable_variables if weight.name == "kernel"]
    assert [weight.shape for weight in kernels] == [(layer.nnz,) for layer in sparse.layers if hasattr(layer, "nnz")]
    for slots in (sparse.optimizer._momentums, sparse.optimizer._velocities):
        assert [slot.shape for slot in slots] == [weight.shape for weight in sparse.trainable_variables]


@pytest.mark.parametrize("optimizer", [keras.optimizers.Muon, keras.optimizers.Adafactor])
def test_rules_that_need_the_matrix_are_refused_by_name(optimizer):
    x, y = data(16)
    _, sparse = masked_and_sparse(optimizer)
    before = sparse.get_weights()
    with pytest.raises(ValueError, match=f"Received: {optimizer.__name__} for sparse 'conv'"):
        sparse.fit(x, y, verbose=0)
    assert all(np.array_equal(a, b) for a, b in zip(before, sparse.get_weights(), strict=True))
    sparse.predict(x, verbose=0)


def test_bfloat16_activations_train_float32_values():
    x, y = data(32)
    masked, sparse = masked_and_sparse(lambda: keras.optimizers.SGD(0.01), network("mixed_bfloat16"))
    assert sparse.layers[0].compute_dtype == "bfloat16" and sparse.layers[0].kernel.dtype == "float32"
    assert sparse(x).dtype == "bfloat16"
    for model in (masked, sparse):
        model.fit(x, y, batch_size=16, epochs=2, shuffle=False, verbose=0)
    for one, other in zip(tf_pai.strip(masked).weights, tf_pai.strip(sparse).weights, strict=True):
        if one.name == "kernel":  # other weights begin at zero, and are as large as rounding errors
            np.testing.assert_allclose(one, other, atol=0.01 * np.abs(one).max())


@pytest.mark.parametrize("kind", [network, subclassed])
def test_jit_compile_gives_way(kind):
    x, y = data(16)
    with pytest.warns(UserWarning, match="jit_compile=True"):
        _, sparse = masked_and_sparse(lambda: keras.optimizers.SGD(0.01), kind(), jit_compile=True)
    assert not sparse.jit_compile
    sparse.fit(x, y, verbose=0)


@pytest.mark.parametrize("optimizer", [keras.optimizers.Muon, keras.optimizers.Adafactor])
def test_such_rules_are_refused_where_the_step_calls_another_model(optimizer):
    class Outer(keras.Model):
        def train_step(self, data):
            x, y = data
            with tf.GradientTape() as tape:
                loss = LOSS(y, self.inner(x, training=True))
            variables = self.inner.trainable_variables
            self.optimizer.apply(tape.gradient(loss, variables), variables)
            return {"loss": loss}

    x, y = data(16)
    outer = Outer()
    outer.inner = tf_pai.to_sparse(pruned())
    outer.compile(optimizer())
    with pytest.raises(ValueError, match=f"Received: {optimizer.__name__} for sparse 'conv'"):
        outer.fit(x, y, verbose=0)


def test_a_loop_of_ones_own():
    x, y = data(16)
    _, sparse = masked_and_sparse(lambda: keras.optimizers.SGD(0.1))
    with tf.GradientTape() as tape:
        loss = LOSS(y, sparse(x, training=True))
    gradients = tape.gradient(loss, sparse.trainable_weights)
    sparse.optimizer.apply_gradients(zip(gradients, sparse.trainable_weights, strict=True))
    assert gradients[0].shape == sparse.layers[0].kernel.shape
