"""Pruned weights are zero after every batch, whatever optimizer, precision and compiler train the model."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tf_pai
from tests.layers.support import LOSS, leaks, pruned, random_masks, trained
from tf_pai.layers import prunable_layers
from tf_pai.layers.optimizers import ELEMENT_WISE, projection_suffices
from tf_pai.masks import masked_weights

Opt, L = keras.optimizers, keras.layers
# What takes other optimizers to work on, and so has no learning rate of its own.
CONTAINERS = ("Optimizer", "OptimizerMap", "LossScaleOptimizer", "MultiOptimizer")
PLAIN = [name for name in dir(Opt) if name[0].isupper() and name not in CONTAINERS]


def _multi(make):
    return Opt.MultiOptimizer(Opt.OptimizerMap(make(0.01), {".*conv.*": Opt.SGD(0.05, momentum=0.9)}))


OPTIMIZERS = {name: lambda name=name: getattr(Opt, name)(0.01) for name in PLAIN} | {
    "SGD, momentum, decay": lambda: Opt.SGD(0.05, momentum=0.9, nesterov=True, weight_decay=0.01),
    "SGD, EMA": lambda: Opt.SGD(0.05, momentum=0.9, use_ema=True, ema_momentum=0.5),
    "Adam, EMA written": lambda: Opt.Adam(0.01, use_ema=True, ema_momentum=0.5, ema_overwrite_frequency=2),
    "Muon, EMA": lambda: Opt.Muon(0.01, use_ema=True, ema_momentum=0.5),
    "Adafactor, EMA": lambda: Opt.Adafactor(0.01, use_ema=True, ema_momentum=0.5),
    "SGD, clipnorm": lambda: Opt.SGD(0.1, clipnorm=0.1),
    "SGD, clipvalue": lambda: Opt.SGD(0.1, clipvalue=0.01),
    "AdamW, global clipnorm": lambda: Opt.AdamW(0.01, global_clipnorm=0.1),
    "Adam, accumulation": lambda: Opt.Adam(0.01, gradient_accumulation_steps=3),
    "Muon, accumulation": lambda: Opt.Muon(0.01, gradient_accumulation_steps=2),
    "LossScaleOptimizer": lambda: Opt.LossScaleOptimizer(Opt.SGD(0.05, momentum=0.9)),
    "LossScaleOptimizer, Adafactor": lambda: Opt.LossScaleOptimizer(Opt.Adafactor(0.01)),
    "MultiOptimizer": lambda: _multi(Opt.Adam),
    "MultiOptimizer, Adafactor": lambda: _multi(Opt.Adafactor),
    "MultiOptimizer, Muon": lambda: _multi(Opt.Muon),
}


def convnet(dropout=0.2):
    keras.utils.set_random_seed(0)
    layers = [L.Conv2D(6, 3, padding="same", name="conv"), L.BatchNormalization(), L.ReLU(), L.DepthwiseConv2D(3)]
    return keras.Sequential([keras.Input((6, 6, 2)), *layers, L.Flatten(), L.Dropout(dropout), L.Dense(3, name="fc")])


def images(examples=32):
    rng = np.random.default_rng(0)
    return rng.standard_normal((examples, 6, 6, 2)).astype("float32"), rng.integers(0, 3, examples)


def with_empty_rows(model):
    """Random masks, but for an input and an output of the last layer that have no weights: gradients are all zero."""
    masks = random_masks(model)
    masks["fc/kernel"][0] = masks["fc/kernel"][:, 0] = False
    return tf_pai.set_masks(model, masks)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_pruned_weights_stay_zero(name):
    model = with_empty_rows(convnet())
    model.compile(OPTIMIZERS[name](), LOSS, jit_compile=False)
    trained(model, *images())
    assert all(np.isfinite(variable.numpy()).all() for variable in model.trainable_variables)


@pytest.mark.parametrize("name", ["Adam", "Muon", "Adafactor", "ScheduleFreeAdamW", "SGD, EMA", "Muon, accumulation"])
def test_pruned_weights_stay_zero_under_xla(name):
    model = with_empty_rows(convnet(dropout=0))
    model.compile(OPTIMIZERS[name](), LOSS, jit_compile=True)
    trained(model, *images(16), epochs=1)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
@pytest.mark.parametrize("jit_compile", [False, True])
def test_mixed_precision(policy, jit_compile, tmp_path):
    with _policy(policy):
        dense = convnet(dropout=0)
        model = pruned(dense, optimizer=Opt.Adam(0.01), jit_compile=jit_compile)
    layer = model.get_layer("conv")
    assert layer.compute_dtype == policy.removeprefix("mixed_") and layer.kernel.dtype == "float32"
    trained(model, *images(16), epochs=1)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.get_layer("conv").compute_dtype == layer.compute_dtype
    trained(loaded, *images(16), epochs=1)


class _policy:
    def __init__(self, policy):
        self.policy = policy

    def __enter__(self):
        keras.config.set_dtype_policy(self.policy)

    def __exit__(self, *_):
        keras.config.set_dtype_policy("float32")


def test_several_steps_per_execution():
    model = pruned(convnet(), optimizer="adamw", steps_per_execution=3)
    trained(model, *images())


def test_a_user_s_constraint_holds_beside_the_mask():
    model = keras.Sequential([keras.Input((6,)), L.Dense(5, kernel_constraint=keras.constraints.UnitNorm())])
    model = pruned(model, sparsity=0.3, optimizer=Opt.SGD(0.5))
    rng = np.random.default_rng(0)
    trained(model, rng.standard_normal((16, 6)), rng.integers(0, 5, 16))
    np.testing.assert_allclose(np.linalg.norm(model.layers[0].kernel.numpy(), axis=0), 1, rtol=1e-5)


# Clipping and moments see the kept weights only.


def _gradients(model, x, y):
    with tf.GradientTape() as tape:
        loss = LOSS(y, model(x, training=False))
    return tape.gradient(loss, [variable.value for variable in model.trainable_variables])


def test_gradients_of_pruned_weights_are_zero_and_the_others_those_of_the_dense_network():
    x, y = images()
    dense = convnet()
    model = pruned(dense)
    zeroed = tf_pai.strip(model)
    masks = {id(w.value): m.numpy() for w, m in masked_weights(model).values()}
    for variable, gradient, plain in zip(
        model.trainable_variables, _gradients(model, x, y), _gradients(zeroed, x, y), strict=True
    ):
        mask = masks.get(id(variable.value), 1.0)
        np.testing.assert_allclose(gradient, plain * mask, rtol=1e-5, atol=1e-7)


def test_global_clipping_uses_the_norm_over_the_kept_weights():
    x, y = images()
    model = pruned(convnet(dropout=0))
    before = [variable.numpy() for variable in model.trainable_variables]
    gradients = [g.numpy() for g in _gradients(model, x, y)]
    norm = np.sqrt(sum((g**2).sum() for g in gradients))
    optimizer = Opt.SGD(1.0, global_clipnorm=float(norm) / 2)
    optimizer.apply(_gradients(model, x, y), model.trainable_variables)
    for variable, start, gradient in zip(model.trainable_variables, before, gradients, strict=True):
        np.testing.assert_allclose(start - variable.numpy(), gradient / 2, rtol=1e-4, atol=1e-6)


def test_moments_of_pruned_weights_are_zero_where_something_else_sees_gradients():
    model = pruned(convnet(), optimizer=Opt.Adam(0.01, global_clipnorm=1.0))
    trained(model, *images())
    for weight, mask in masked_weights(model).values():
        index = model.optimizer._get_variable_index(weight)
        for moments in (model.optimizer._momentums, model.optimizer._velocities):
            assert not moments[index].numpy()[mask.numpy() == 0].any()
            assert moments[index].numpy().any()


ALONE = {name: lambda name=name: getattr(Opt, name)(0.01) for name in (cls.__name__ for cls in ELEMENT_WISE)} | {
    "SGD, momentum, decay": lambda: Opt.SGD(0.05, momentum=0.9, nesterov=True, weight_decay=0.01),
    "Adam, accumulation": lambda: Opt.Adam(0.01, gradient_accumulation_steps=3),
    "SGD, clipvalue": lambda: Opt.SGD(0.1, clipvalue=0.01),
}


@pytest.mark.parametrize("name", ALONE)
def test_the_projection_alone_trains_kept_weights_alike_bit_for_bit(name, monkeypatch):
    answers, results = [], []
    for always_mask in (False, True):

        def suffices(optimizer, always_mask=always_mask):
            answers.append(projection_suffices(optimizer))
            return answers[-1] and not always_mask

        monkeypatch.setattr("tf_pai.layers.prunable.projection_suffices", suffices)
        model = pruned(convnet(dropout=0), optimizer=ALONE[name](), jit_compile=False)
        model.fit(*images(16), epochs=3, batch_size=8, shuffle=False, verbose=0)
        results.append([variable.numpy() for variable in model.variables])
    assert all(np.array_equal(a, b) for a, b in zip(*results, strict=True)) and True in answers


@pytest.mark.parametrize("optimizer", [Opt.SGD(0.1, clipnorm=1.0), Opt.Adam(use_ema=True), Opt.Muon(0.01), None])
def test_the_projection_alone_does_not_suffice(optimizer):
    class Spy(keras.Model):
        def train_step(self, data):
            answers.append(projection_suffices(self.optimizer))
            return super().train_step(data)

    answers = []
    assert not projection_suffices(optimizer) and not projection_suffices(Opt.SGD())  # in no training step
    model = Spy(*(lambda x: (x, L.Dense(2)(x)))(keras.Input((3,))))
    model.compile(Opt.SGD(), "mse")
    model.fit(np.ones((2, 3)), np.ones((2, 2)), verbose=0)
    assert answers == [False]  # a user's own step, outside Keras'


def test_a_train_step_of_one_s_own_sees_masked_gradients():
    class Own(keras.Sequential):
        def train_step(self, data):
            x, y = data
            with tf.GradientTape() as tape:
                loss = self.compute_loss(x, y, self(x, training=True))
            for variable, gradient in zip(
                self.trainable_variables, tape.gradient(loss, self.trainable_variables), strict=True
            ):
                variable.assign_sub(0.1 * gradient)
            return {"loss": loss}

    model = Own([keras.Input((6, 6, 2)), L.Conv2D(6, 3, name="conv"), L.Flatten(), L.Dense(3, name="fc")])
    model = tf_pai.set_masks(model, random_masks(model))
    model.compile("sgd", LOSS)
    trained(model, *images())


# Loops that users write.


@pytest.mark.parametrize(
    "optimizer", [Opt.AdamW(0.01), Opt.Muon(0.01), Opt.SGD(0.1, momentum=0.9, global_clipnorm=1.0)]
)
def test_a_loop_of_one_s_own(optimizer):
    model, (x, y) = pruned(convnet()), images()

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            loss = LOSS(y, model(x, training=True))
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))

    for _ in range(3):
        step()
        assert not leaks(model)


def test_an_update_written_by_hand():
    model, (x, y) = pruned(convnet()), images()
    for _ in range(3):
        for variable, gradient in zip(model.trainable_variables, _gradients(model, x, y), strict=True):
            variable.assign_sub(0.1 * gradient)
        assert not leaks(model)


def test_train_on_batch_and_evaluation():
    model, (x, y) = pruned(convnet(), optimizer="sgd", metrics=["accuracy"]), images()
    model.train_on_batch(x, y)
    assert not leaks(model)
    assert len(model.evaluate(x, y, verbose=0)) == 2 and model.predict(x, verbose=0).shape == (32, 3)


def test_adafactor_in_a_loop_of_one_s_own_gets_the_dense_gradient_on_request():
    model, (x, y) = with_empty_rows(convnet()), images()
    optimizer = Opt.Adafactor(0.01)
    for layer in prunable_layers(model).values():
        layer.mask_gradients = False
    for _ in range(3):
        optimizer.apply(_gradients(model, x, y), model.trainable_variables)
        assert not leaks(model)
