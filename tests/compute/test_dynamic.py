"""Masks that move over kept values only move as they do over dense weights."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

import tf_pai
from tests.callbacks.models import SETTINGS as METHODS
from tests.compute.models import LOSS, L, data, difference, masked_and_sparse, network, pruned
from tf_pai import callbacks
from tf_pai.callbacks.tiles import KeptState, exchange_by_tiles
from tf_pai.callbacks.weights import moving_weights

OPTIMIZERS = {
    "SGD": lambda: keras.optimizers.SGD(0.02, momentum=0.9),
    "Adam": lambda: keras.optimizers.Adam(1e-3),
    "Adagrad": lambda: keras.optimizers.Adagrad(0.01, initial_accumulator_value=0.2),
}


class Seen(keras.callbacks.Callback):
    """Keeps the masks after each batch."""

    def on_train_begin(self, logs=None):
        self.masks = []

    def on_train_batch_end(self, batch, logs=None):
        self.masks.append(tf_pai.get_masks(self.model))


def trained(model, name, epochs=2, **options):
    x, y = data(64)
    options = {"update_every": 2, "end_step": 9, "drop_fraction": 0.4, "decay": "constant", "seed": 5, **options}
    callback, seen = getattr(callbacks, name)(**options), Seen()
    model.fit(x, y, batch_size=16, epochs=epochs, shuffle=False, verbose=0, callbacks=[callback, seen])
    return callback, seen.masks


def equal(one, other):
    return all(np.array_equal(a, b) for a, b in zip(one.values(), other.values(), strict=True))


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("name", ["SET", "RigL"])
def test_same_masks_after_every_step_and_same_weights(name, optimizer):
    masked, sparse = masked_and_sparse(OPTIMIZERS[optimizer])
    one, masks = trained(masked, name)
    other, others = trained(sparse, name)
    assert [update.step for update in one.history.updates] == [2, 4, 6, 8]
    assert one.history.updates == other.history.updates
    assert all(equal(a, b) for a, b in zip(masks, others, strict=True))
    assert not any(equal(masks[step - 2], masks[step - 1]) for step in (2, 4, 6, 8))
    assert difference(masked, sparse) <= 1e-4 and tf_pai.verify(sparse)
    for slot, twin in zip(*(tf_pai.to_sparse(m).optimizer.variables for m in (masked, sparse)), strict=True):
        np.testing.assert_allclose(slot.numpy(), twin.numpy(), rtol=1e-3, atol=1e-5)


def small(optimizer="adam", **compile_options):
    """A sparse network with a regularized kernel, a layer that is used twice, and one that stays masked."""
    keras.utils.set_random_seed(3)
    x = inputs = keras.Input((8, 8, 2))
    x = L.Conv2D(4, 3, padding="same", activation="relu", kernel_regularizer="l2", name="conv")(x)
    twice = L.Conv2D(4, 1, activation="relu", name="twice")
    x = L.Conv2D(4, 3, groups=2, use_bias=False, name="grouped")(twice(twice(x)))
    x = L.BatchNormalization(name="bn")(x)
    model = keras.Model(inputs, L.Dense(3, name="fc")(L.GlobalAveragePooling2D()(x)))
    model = pruned(model, 0.5)
    model.compile(optimizer, LOSS, **compile_options)
    return model, tf_pai.to_sparse(model)


def test_regularizers_shared_layers_bundled_steps_and_layers_that_stay_masked():
    masked, sparse = small()
    bundled = small(steps_per_execution=3)[1]
    assert {type(layer).__name__ for layer in sparse.layers} >= {"SparseConv2D", "PrunableLayer", "SparseDense"}
    last = [trained(model, "RigL")[1][-1] for model in (masked, sparse, bundled)]
    assert equal(last[0], last[1]) and equal(last[0], last[2]) and difference(masked, sparse) <= 1e-4
    assert not equal(last[0], tf_pai.get_masks(small()[0]))
    assert all(layer.gradient_sink is None for layer in sparse.layers if hasattr(layer, "gradient_sink"))


def test_attention_moves_too():
    keras.utils.set_random_seed(3)
    x = inputs = keras.Input((8, 8, 2))
    x = L.Reshape((8, 16))(x)
    x = L.MultiHeadAttention(2, 4, name="attention")(x, x)
    model = keras.Model(inputs, L.Dense(3, name="fc")(L.Flatten()(x)))
    masked, sparse = masked_and_sparse(OPTIMIZERS["Adam"], model)
    masks, others = (trained(model, "RigL", epochs=1)[1] for model in (masked, sparse))
    assert all(equal(a, b) for a, b in zip(masks, others, strict=True)) and not equal(masks[0], masks[1])


@pytest.mark.parametrize("name", ["SET", "RigL"])
def test_mixed_precision_moves_values_of_float32(name):
    """Not those of masked compute to the bit: bfloat16 gradients of two kernels rank close weights differently."""
    sparse = masked_and_sparse(OPTIMIZERS["Adam"], network("mixed_bfloat16"))[1]
    before, dense = tf_pai.get_masks(sparse), [v.numpy() for v in sparse.trainable_variables]
    _, masks = trained(sparse, name)
    for path, mask in masks[-1].items():
        assert mask.sum() == before[path].sum() and (mask != before[path]).any()
    assert tf_pai.verify(sparse) and {v.dtype for v in sparse.trainable_variables} == {"float32"}
    assert all((v.numpy() != old).any() for v, old in zip(sparse.trainable_variables, dense, strict=True))


def one_layer(optimizer):
    """A sparse layer whose first input has no weight."""
    model = keras.Sequential([keras.Input((8,)), L.Dense(6, use_bias=False)])
    model = tf_pai.prune_at_init(model, "random", 0.5, compute="masked", seed=0, verbose=0)
    mask = np.ones((8, 6), bool)
    mask[0] = mask[1:, :2] = False
    tf_pai.set_masks(model, {path: mask for path in tf_pai.get_masks(model)})
    model = tf_pai.to_sparse(model)
    model.compile(optimizer, "mse")
    return model


@pytest.mark.parametrize("tile_size", [2**20, 6])
def test_an_overflow_where_no_weight_is_kept_leaves_the_masks(tile_size):
    x, y = np.random.default_rng(0).standard_normal((8, 8)).astype("float32"), np.ones((8, 6), "float32")
    x[:, 0] = 1e30
    model = one_layer(keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(1e-3), initial_scale=2.0**40))
    before = tf_pai.get_masks(model)
    rigl = callbacks.RigL(update_every=1, end_step=100, decay="constant", seed=0, tile_size=tile_size)
    model.fit(x, y, batch_size=8, verbose=0, callbacks=[rigl])
    assert int(model.optimizer.iterations) == 1 and equal(before, tf_pai.get_masks(model))
    x[:, 0] = 1
    model.fit(x, y, batch_size=8, verbose=0, callbacks=[rigl])
    assert not equal(before, tf_pai.get_masks(model))


def test_a_rule_may_read_the_gradient_in_a_branch():
    class Later(callbacks.RigL):
        def grow_score(self, state):
            return tf.cond(state.step > 1, lambda: tf.abs(state.gradient), lambda: state.random())

    model = one_layer("sgd")
    later = Later(update_every=1, end_step=100, decay="constant", seed=0)
    model.fit(np.ones((8, 8)), np.ones((8, 6)), batch_size=4, verbose=0, callbacks=[later])
    assert [update.step for update in later.history.updates] == [1, 2] and tf_pai.verify(model)


@pytest.mark.parametrize("name", ["SET", "RigL"])
def test_layers_in_tiles_of_one_row_and_of_three(name):
    """RigL's masks are those of whole layers; SET draws other random numbers, but the same each time."""
    masked, sparse = masked_and_sparse(OPTIMIZERS["Adam"])
    callback, masks = trained(sparse, name, epochs=1, tile_size=10)
    other = masked if name == "RigL" else masked_and_sparse(OPTIMIZERS["Adam"])[1]
    again, others = trained(other, name, epochs=1, tile_size=10)
    assert [weight.tile_rows for weight in callback.weights] == [None, 1, 3]
    assert all(equal(a, b) for a, b in zip(masks, others, strict=True)) and tf_pai.verify(sparse)
    assert [mask.sum() for mask in masks[0].values()] == [mask.sum() for mask in masks[-1].values()]
    assert all((a != b).any() for a, b in zip(masks[0].values(), masks[-1].values(), strict=True))
    assert again.history.updates == callback.history.updates


def test_more_tiles_need_no_larger_graph():
    model = keras.Sequential([keras.Input((12,)), tf_pai.layers.SparseDense(4, density=0.5, seed=0)])

    def operations(tile):
        (weight,) = moving_weights(model, tile=tile)
        plan = None, tf.constant(3), tf.constant(16), tf.constant(24)
        update = tf.function(lambda: exchange_by_tiles(callbacks.SET(seed=0), KeptState(weight, *plan, 0))[0])
        assert np.all(np.diff(update()) > 0) and update().shape == (24,)
        graph = update.get_concrete_function().graph.as_graph_def()
        return len(graph.node) + sum(len(function.node_def) for function in graph.library.function)

    assert operations(4) == operations(24)  # twelve tiles, and two


def test_a_loop_of_ones_own():
    x, y = data(16)
    last = []
    for model in small(keras.optimizers.SGD(0.02)):
        callback = callbacks.RigL(update_every=2, end_step=6, decay="constant", seed=1, tile_size=5)
        callback.set_model(model)
        moved = []
        for _ in range(4):
            model.train_on_batch(x, y)
            moved.append(callback.step(x, y))
        callback.on_train_end()
        last.append(tf_pai.get_masks(model))
    assert moved == [False, True, False, True] and equal(*last)


class Kill(keras.callbacks.Callback):
    """Saves the model after the first epoch, and dies."""

    def __init__(self, file):
        super().__init__()
        self.file = file

    def on_epoch_end(self, epoch, logs=None):
        self.model.save(self.file)
        raise KeyboardInterrupt


@pytest.mark.parametrize("name", ["SET", "RigL"])
def test_killed_and_resumed(name, tmp_path):
    x, y = data(64)

    def fit(model, *others, first=0):
        callback = getattr(callbacks, name)(update_every=3, end_step=12, decay="constant", seed=2)
        options = {"batch_size": 16, "initial_epoch": first, "epochs": 3, "shuffle": False, "verbose": 0}
        model.fit(x, y, callbacks=[callback, *others], **options)
        return model

    expected = fit(small()[1])
    killed = small()[1]
    with pytest.raises(KeyboardInterrupt):
        fit(killed, Kill(tmp_path / "m.keras"))
    loaded = fit(keras.models.load_model(tmp_path / "m.keras"), first=1)
    backup = keras.callbacks.BackupAndRestore(str(tmp_path / "backup"))
    restored = small()[1]
    with pytest.raises(KeyboardInterrupt):
        fit(restored, backup, Kill(tmp_path / "n.keras"))
    restored = fit(small()[1], backup)
    for model in (loaded, restored):
        for weight, other in zip(model.get_weights(), expected.get_weights(), strict=True):
            np.testing.assert_array_equal(weight, other)
        assert tf_pai.verify(model)


def test_methods_that_need_pruned_weights_are_refused():
    _, sparse = small()
    x, y = data(16)
    for name in METHODS:
        callback = getattr(callbacks, name)(end_step=4, seed=0)
        if not callback.moves_sparse:
            with pytest.raises(ValueError, match=f"{name} moves masks of a model that has its pruned weights too"):
                sparse.fit(x, y, verbose=0, callbacks=[callback])


@pytest.mark.parametrize("tile_size", [2**20, 40])
@pytest.mark.parametrize("name", ["SET", "RigL"])
def test_same_updates_with_the_kernels_and_with_tensorflow_and_numpy(name, tile_size, monkeypatch):
    results = []
    for built in (True, False):
        monkeypatch.setattr(tf_pai.kernels, "built", lambda: built)  # noqa: B023
        sparse = small()[1]
        callback = getattr(callbacks, name)(update_every=1, end_step=9, decay="constant", seed=5, tile_size=tile_size)
        rng = np.random.default_rng(0)
        x, y = rng.random((24, 8, 8, 2)).astype("f4"), rng.integers(0, 3, 24)
        sparse.fit(x, y, batch_size=8, epochs=2, shuffle=False, verbose=0, callbacks=[callback])
        results.append((sparse.get_weights(), tf_pai.get_masks(sparse), callback.history.updates))
    (weights, masks, updates), (others, other_masks, other_updates) = results
    assert len(updates) == 6 and updates[-1].exploration > updates[0].exploration
    assert [dataclasses.astuple(u)[2:] for u in updates] == [dataclasses.astuple(u)[2:] for u in other_updates]
    assert equal(masks, other_masks) and all(np.array_equal(a, b) for a, b in zip(weights, others, strict=True))
