"""How updates live in loops of the user's own."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tf_pai
from tests.callbacks.models import L, data, method, mlp, model_for, same
from tf_pai.callbacks import DSR, SET, RigL
from tf_pai.callbacks.slots import slots_of
from tf_pai.layers import PrunableLayer, prunable_layers
from tf_pai.masks import masked_weights

RIGL = {"update_every": 2, "end_step": 12, "seed": 1}
LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def traced_step(model):
    """A step of training, as users write it."""

    @tf.function
    def step(x, y):
        with tf.GradientTape() as tape:
            loss = LOSS(y, model(x, training=True))
        variables = model.trainable_variables
        model.optimizer.apply(tape.gradient(loss, variables), variables)
        return loss

    return step


class TestLoops:
    def run(self, callback, own_optimizer=False):
        model = mlp(keras.optimizers.Adam())
        optimizer = keras.optimizers.Adam() if own_optimizer else model.optimizer
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        callback.begin(model, optimizer if own_optimizer else None)
        updated = []
        for x, y in data().concatenate(data()):
            with tf.GradientTape() as tape:
                value = loss(y, model(x, training=True))
            variables = model.trainable_variables
            optimizer.apply(tape.gradient(value, variables), variables)
            statistics = model.get_layer("bn").moving_mean.numpy()
            updated.append(callback.step(x, y))
            assert np.array_equal(statistics, model.get_layer("bn").moving_mean.numpy())
            assert tf_pai.verify(model)
        return model, [i + 1 for i, was in enumerate(updated) if was]

    @pytest.mark.parametrize("own_optimizer", [False, True])
    def test_masks_move_when_due(self, own_optimizer):
        before = tf_pai.get_masks(mlp())
        callback = RigL(**RIGL)
        model, steps = self.run(callback, own_optimizer)
        assert steps == [2, 4, 6, 8, 10, 12] == [update.step for update in callback.history.updates]
        assert not same(before, tf_pai.get_masks(model))

    def test_state_goes_on(self):
        callback, other = RigL(**RIGL), RigL(**RIGL)
        self.run(callback)
        other.set_state(callback.get_state())
        other.begin(mlp())
        assert int(other.get_state()["count"]) == 16
        states = [c.get_state() for c in (callback, other)]
        explored, restored = ([bits for name, bits in s.items() if name.startswith("ever_alive/")] for s in states)
        assert len(explored) == 3 and all(((a & b) == a).all() for a, b in zip(explored, restored, strict=True))
        assert other.history.updates == callback.history.updates and other.history.start == callback.history.start

    @pytest.mark.parametrize("again", ["state", "end"])
    def test_batches_are_counted_once(self, again):
        """Where a state is put back that agrees with the optimizer, and where a loop of a lost optimizer goes on."""
        model, callback = mlp(), SET(update_every=4, end_step=99)
        callback.begin(model)
        for seen in range(1, 13):
            if seen == 7 and again == "state":
                callback.set_state(callback.get_state())
            elif seen == 7:
                callback.on_train_end()
                model.optimizer.iterations.assign(0)
                callback.begin(model)
            model.optimizer.iterations.assign_add(1)
            callback.step(None)
            assert callback._loop_count == seen

    @pytest.mark.parametrize("name", ["RigL", "SNFS", "DNS"])
    def test_train_on_batch(self, name):
        callback = method(name)
        model = model_for(callback)
        callback.begin(model)
        moved = 0
        for x, y in data():
            model.train_on_batch(x, y)
            moved += callback.step(x, y)
        callback.on_train_end()
        assert moved == 4 and tf_pai.verify(model)

    def test_an_uncompiled_model_is_differentiated_by_the_loss_that_fits(self):
        model = keras.Sequential([keras.Input((8,)), L.Dense(16), L.Dense(2, activation="softmax")])
        model = tf_pai.prune_at_init(model, "random", 0.5, seed=0)
        before, callback = tf_pai.get_masks(model), RigL(update_every=1, end_step=4, seed=0)
        callback.set_model(model)
        assert callback.step(*next(iter(data())))
        assert not same(before, tf_pai.get_masks(model))

    def test_an_optimizer_that_is_not_known_ends_the_schedule_too(self):
        model = tf_pai.prune_at_init(keras.Sequential([keras.Input((8,)), L.Dense(8), L.Dense(2)]), "random", 0.5)
        callback = DSR(update_every=1, end_step=2, seed=0)
        callback.begin(model)
        for x, y in data().take(3):
            callback.step(x, y)
        callback.on_train_end()
        assert all(type(layer) is PrunableLayer for layer in prunable_layers(model).values())

    def test_steps_that_loss_scaling_skips_are_not_counted(self):
        optimizer = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.1), initial_scale=2.0**10)
        model, callback, seen = mlp(optimizer), SET(update_every=4, end_step=99, seed=1), []
        callback.begin(model)
        for i, (x, y) in enumerate(data()):
            with tf.GradientTape() as tape:
                loss = optimizer.scale_loss(LOSS(y, model(x * np.float32(np.inf if i in (2, 4) else 1), training=True)))
            optimizer.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)
            seen.append((int(optimizer.iterations), callback.step(x, y)))
        assert [i for i, moved in seen if moved] == [4] and len({i for i, _ in seen}) == 6

    def test_labels_are_asked_for_before_the_first_update(self):
        callback = RigL(update_every=100, end_step=200)
        callback.begin(mlp())
        with pytest.raises(ValueError, match=r"reads the gradient of the batch's loss. Received: y=None"):
            callback.step(next(iter(data()))[0])


class TestTracedSteps:
    @pytest.mark.parametrize("name", ["ACDC", "GraNet", "DNS"])
    def test_pruned_weights_are_zero_or_take_no_part(self, name):
        callback = method(name, end_step=6)
        model = model_for(callback, "sgd")
        callback.begin(model)
        step = traced_step(model)
        for x, y in data():
            loss = LOSS(y, model(x, training=True))
            np.testing.assert_allclose(step(x, y), loss, rtol=1e-5)
            callback.step(x, y)
            if not callback.keeps_dense_weights:
                assert tf_pai.verify(model)
        callback.on_train_end()
        assert tf_pai.verify(model) and not callback.is_short()

    def test_momentum_of_pruned_weights_is_kept(self):
        model, callback = mlp(keras.optimizers.SGD(0.1, momentum=0.9)), method("SNFS", update_every=99, end_step=999)
        callback.begin(model)
        step = traced_step(model)
        for x, y in data().take(3):
            step(x, y)
            callback.step(x, y)
        for weight, mask in masked_weights(model).values():
            (slot,) = slots_of(model.optimizer, weight)
            assert (slot.variable.numpy()[mask.numpy() == 0] != 0).mean() > 0.5

    @pytest.mark.parametrize("name", ["ACDC", "DNS", "SNFS"])
    def test_a_method_that_makes_the_model_ready_asks_for_begin(self, name):
        callback = method(name)
        callback.set_model(model_for(callback))
        with pytest.raises(ValueError, match=r"ready before the first batch is trained. Received: step\(\) without"):
            callback.step(*next(iter(data())))
