"""How updates live in `fit`."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tf_pai
from tests.callbacks.models import L, data, method, mlp, model_for, same
from tf_pai.callbacks import SET, RigL
from tf_pai.layers import prunable_layers

RIGL = {"update_every": 2, "end_step": 12, "seed": 1}


def masks_after(callback=None, epochs=2, batches=None, **options):
    model = mlp(**options)
    callback = RigL(**RIGL) if callback is None else callback
    model.fit(data() if batches is None else batches, epochs=epochs, verbose=0, callbacks=[callback])
    assert tf_pai.verify(model)
    return tf_pai.get_masks(model), [update.step for update in callback.history.updates]


class TestEveryWayToFit:
    def test_same_masks_in_bundles_of_steps_and_eagerly_and_near_so_compiled(self):
        masks, steps = masks_after()
        assert steps == [2, 4, 6, 8, 10, 12]
        for options in ({"steps_per_execution": 3}, {"run_eagerly": True}, {"jit_compile": True}):
            others, others_steps = masks_after(**options)
            assert others_steps == steps
            differ = sum((a != b).sum() for a, b in zip(masks.values(), others.values(), strict=True))
            assert differ <= (0 if "steps_per_execution" in options else 20), options  # of 344; XLA rounds otherwise

    def test_steps_of_a_dataset_of_unknown_length(self):
        batches = data().filter(lambda x, y: True)
        for bundle in (1, 3):
            with pytest.warns(UserWarning, match="ran out of data"):
                _, steps = masks_after(batches=batches, steps_per_execution=bundle)
            assert steps[:4] == [2, 4, 6, 8]

    @pytest.mark.parametrize("options", [{}, {"run_eagerly": True}, {"steps_per_execution": 2}])
    def test_data_that_end_where_an_update_is_due_move_nothing(self, options):
        batches, model = data().take(7).filter(lambda x, y: True), mlp(**options)
        before, callback = tf_pai.get_masks(model), RigL(update_every=8, end_step=8, decay="constant", seed=1)
        seen, steps = [], []

        def look(*_):
            seen.append(tf_pai.get_masks(model))
            steps.append(int(model.optimizer.iterations))

        see = keras.callbacks.LambdaCallback(on_epoch_end=look)
        with pytest.warns(UserWarning, match="ran out of data"):
            model.fit(batches, epochs=2, verbose=0, callbacks=[callback, see])
        assert steps[0] == 7  # Keras' own function, which ends the second epoch, counts a step without data
        assert same(seen[0], before) and not same(seen[1], before)
        assert [update.step for update in callback.history.updates] == [8]

    @pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
    def test_mixed_precision(self, policy):
        before = keras.config.dtype_policy()
        keras.config.set_dtype_policy(policy)
        try:
            masks, steps = masks_after()
        finally:
            keras.config.set_dtype_policy(before)
        assert steps and sum(int(mask.sum()) for mask in masks.values()) == 103

    def test_steps_count_the_optimizers_updates_under_gradient_accumulation(self):
        _, steps = masks_after(optimizer=keras.optimizers.Adam(gradient_accumulation_steps=2), epochs=4)
        assert steps == [2, 4, 6, 8, 10, 12]

    def test_steps_go_on_from_one_epoch_to_the_next_under_gradient_accumulation(self):
        optimizer = keras.optimizers.Adam(gradient_accumulation_steps=2)
        callback = RigL(update_every="1ep", begin_step="1ep", end_step="4ep", seed=1)
        masks_after(callback, epochs=4, batches=data().take(7), optimizer=optimizer)
        assert (callback.schedule.every, callback.schedule.end) == (3, 14)  # 3.5 steps an epoch
        callback = RigL(update_every="1ep", seed=1)
        _, steps = masks_after(
            callback, epochs=8, batches=data().take(1), optimizer=type(optimizer).from_config(optimizer.get_config())
        )
        assert steps == [1, 2, 3]

    def test_an_overflow_leaves_the_masks_and_is_no_step(self):
        model = mlp(keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.1), initial_scale=2.0**15))
        x, y = next(iter(data()))
        bad = tf.data.Dataset.from_tensors((x * np.float32(np.inf), y)).concatenate(data())
        before, callback = tf_pai.get_masks(model), RigL(update_every=1, end_step=99, decay="constant")
        seen = []
        see = keras.callbacks.LambdaCallback(on_train_batch_end=lambda b, logs: seen.append(tf_pai.get_masks(model)))
        model.fit(bad, verbose=0, callbacks=[callback, see])
        assert same(before, seen[0]) and not same(before, seen[1])
        assert int(model.optimizer.iterations) == 8 == len(callback.history.updates)

    def test_a_subclass_with_a_train_step_of_its_own(self):
        class Own(keras.Model):
            def __init__(self):
                super().__init__()
                self.first, self.last = L.Dense(16, "relu"), L.Dense(2)

            def call(self, x):
                return self.last(self.first(x))

            def train_step(self, batch):
                x, y = batch
                with tf.GradientTape() as tape:
                    loss = self.compute_loss(y=y, y_pred=self(x, training=True))
                variables = self.trainable_variables
                self.optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
                return {"loss": loss}

        model = Own()
        model(np.zeros((1, 8), "float32"))
        model = tf_pai.prune_at_init(model, "random", 0.5, seed=0)
        model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        before = tf_pai.get_masks(model)
        model.fit(data(), verbose=0, callbacks=[RigL(**RIGL)])
        assert not same(before, tf_pai.get_masks(model)) and tf_pai.verify(model)

    def test_clipping_sees_the_gradients_of_kept_weights_only_in_update_steps_too(self):
        clipped, plain = (mlp(keras.optimizers.SGD(0.1, global_clipnorm=norm), sparsity=0.9) for norm in (0.05, 0.05))
        clipped.fit(data().take(1), verbose=0, callbacks=[RigL(update_every=1, end_step=9, drop_fraction=1e-6)])
        plain.fit(data().take(1), verbose=0)
        for a, b in zip(clipped.get_weights(), plain.get_weights(), strict=True):
            np.testing.assert_allclose(a, b, atol=1e-7)

    def test_embeddings_grow_rows(self):
        model = keras.Sequential([keras.Input((4,), dtype="int32"), L.Embedding(20, 6), L.Flatten(), L.Dense(2)])
        model = tf_pai.prune_at_init(model, "random", 0.6, seed=0)
        model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        ids = np.random.default_rng(0).integers(0, 20, (64, 4))
        before = tf_pai.get_masks(model)
        model.fit(ids, ids[:, 0] % 2, batch_size=8, verbose=0, callbacks=[RigL(**RIGL)])
        assert not same(before, tf_pai.get_masks(model)) and tf_pai.verify(model)


class TestWhatIsLeftBehind:
    def test_an_update_step_may_leave_out_the_training(self):
        model = mlp("sgd")
        before = model.get_weights()
        callback = RigL(update_every=1, end_step=9, drop_fraction=1e-6, train_on_update=False)
        model.fit(data().take(3), verbose=0, callbacks=[callback])
        kernels = [(a, b) for a, b in zip(before, model.get_weights(), strict=True) if a.ndim == 2]
        assert all(np.array_equal(a, b) for a, b in kernels) and int(model.optimizer.iterations) == 3

    def test_gradients_accumulated_for_a_step_that_is_left_out_are_used_up(self):
        model = mlp(keras.optimizers.SGD(0.1, gradient_accumulation_steps=2))
        callback = RigL(update_every=1, end_step=1, drop_fraction=1e-6, train_on_update=False)
        model.fit(data().take(2), verbose=0, callbacks=[callback])
        assert all((gradient.numpy() == 0).all() for gradient in model.optimizer._accumulated_gradients)

    def test_masks_go_on_moving_after_a_batch_that_another_callback_trains(self):
        model, callback, (x, y) = mlp(), SET(update_every=2, end_step=99), next(iter(data()))

        def train(batch, logs=None):
            if batch == 2:
                model.train_on_batch(x, y)

        other = keras.callbacks.LambdaCallback(on_train_batch_end=train)
        model.fit(data(), verbose=0, callbacks=[callback, other])
        assert [update.step for update in callback.history.updates] == [2, 6, 8]

    def test_a_function_that_another_callback_wraps_around_stays(self):
        model, calls = mlp(), []

        def wrap(logs=None):
            inner = model.train_function
            model.train_function = lambda iterator: calls.append(1) or inner(iterator)

        wrapping = keras.callbacks.LambdaCallback(on_train_begin=wrap)
        callback = RigL(**RIGL)
        model.fit(data(), verbose=0, callbacks=[callback, wrapping])
        assert len(calls) == 8 and [update.step for update in callback.history.updates] == [2, 4, 6, 8]

    def test_the_models_own_train_function_returns_after_an_interruption(self):
        model = mlp()

        def stop(batch, logs=None):
            raise KeyboardInterrupt

        interrupt = keras.callbacks.LambdaCallback(on_train_batch_end=stop)
        with pytest.raises(KeyboardInterrupt):
            model.fit(data(), verbose=0, callbacks=[RigL(**RIGL), interrupt])
        masks = tf_pai.get_masks(model)
        model.fit(data(), epochs=2, verbose=0)
        assert same(masks, tf_pai.get_masks(model)) and type(model.train_function).__name__ == "function"
        callback = SET(update_every=2, end_step=40)
        model.fit(data(), verbose=0, callbacks=[callback])
        assert len(callback.history.updates) == 4

    @pytest.mark.parametrize("is_first", [False, True])
    @pytest.mark.parametrize("name", ["RigL", "DeepR", "DNS"])
    def test_the_best_weights_come_with_their_masks(self, name, is_first):
        callback = method(name)
        model, seen = model_for(callback), {}

        def look(epoch, logs):
            seen[epoch] = tf_pai.get_masks(model)

        stop = keras.callbacks.EarlyStopping("loss", mode="max", patience=9, restore_best_weights=True)
        watch = keras.callbacks.LambdaCallback(on_epoch_end=look)
        order = [callback, watch, stop] if is_first else [stop, watch, callback]
        model.fit(data(), epochs=2, verbose=0, callbacks=order)
        assert stop.best_epoch == 0 and same(tf_pai.get_masks(model), seen[0])
        assert tf_pai.verify(model)

    def test_nothing_of_the_callback_stays_on_model_and_optimizer(self):
        model = mlp()
        model.fit(data(), verbose=0, callbacks=[RigL(**RIGL)])
        assert "apply" not in vars(model.optimizer) and all(layer.mask_gradients for layer in model.layers[::5])
        assert type(model.train_function).__name__ == "function"


class TestFittingAgain:
    def test_the_default_end_counts_the_steps_of_earlier_fits_too(self):
        model, callback, steps = mlp(), RigL(update_every=2, seed=1), []
        for _ in range(2):
            model.fit(data(), epochs=2, verbose=0, callbacks=[callback])
            steps.append([update.step for update in callback.history.updates])
        assert steps == [[2, 4, 6, 8, 10, 12], [18, 20, 22, 24]]  # 75 % of 16 steps, and of 32

    def test_a_run_that_goes_on_keeps_its_end(self):
        model, callback = mlp(), RigL(update_every=2, seed=1)
        model.fit(data(), verbose=0, callbacks=[RigL(update_every=2, end_step=12, seed=1)])
        model.fit(data(), initial_epoch=1, epochs=2, verbose=0, callbacks=[callback])
        assert callback.schedule.end == 12

    def test_pieces_of_one_training_after_its_end_need_no_warning(self, recwarn):
        model, callback = mlp(), SET(update_every=2, end_step=8)
        for epoch in range(3):
            model.fit(data(), initial_epoch=epoch, epochs=epoch + 1, verbose=0, callbacks=[callback])
        assert not [warning for warning in recwarn if "moves no mask" in str(warning.message)]

    def test_a_callback_begins_anew_with_another_model(self):
        callback = SET(update_every=1, end_step=4, decay="constant", seed=0)
        rates = [mlp().fit(data(), verbose=0, callbacks=[callback]).history["exploration"] for _ in range(2)]
        assert rates[0] == rates[1]

    def test_an_interrupted_fit_is_ended_by_the_next(self):
        model = mlp()

        def stop(batch, logs=None):
            raise KeyboardInterrupt

        interrupt = keras.callbacks.LambdaCallback(on_train_batch_end=stop)
        with pytest.raises(KeyboardInterrupt):
            model.fit(data(), verbose=0, callbacks=[method("SNFS"), interrupt])
        model.fit(data(), verbose=0, callbacks=[method("SNFS")])
        assert all(layer.mask_gradients for layer in prunable_layers(model).values())


def test_masks_of_weights_that_are_not_trained_stay():
    model = mlp()
    model.get_layer("a").trainable = False
    model.compile("adam", model.loss)
    masks, values = tf_pai.get_masks(model), model.get_layer("a").get_weights()
    for callback in (method("SET"), method("DSR"), method("RigL", end_step=30)):
        model.fit(data(), verbose=0, callbacks=[callback])
        for value, before in zip(model.get_layer("a").get_weights(), values, strict=True):
            np.testing.assert_array_equal(value, before)
    moved = [path for path, mask in tf_pai.get_masks(model).items() if (mask != masks[path]).any()]
    assert moved == ["b/kernel", "c/kernel"]


class Examples(keras.utils.PyDataset):
    """The batches of `data`, as Keras' own kind of dataset."""

    def __len__(self):
        return 8

    def __getitem__(self, place):
        x, y = next(iter(data().skip(place)))
        return x.numpy(), y.numpy()


def test_every_kind_of_input_and_weighting():
    x, y = (np.concatenate(parts) for parts in zip(*data().as_numpy_iterator(), strict=True))
    inputs = [
        ((x, y), {"class_weight": {0: 1.0, 1: 3.0}, "batch_size": 8}),
        ((x, y), {"sample_weight": np.linspace(0, 1, 64), "validation_split": 0.5, "batch_size": 4}),
        ((Examples(),), {"validation_data": (x, y)}),
    ]
    for arguments, options in inputs:
        model, callback = mlp(), RigL(update_every="4it", end_step="1ep", seed=1)
        model.fit(*arguments, epochs=2, verbose=0, callbacks=[callback], **options)
        assert [update.step for update in callback.history.updates] == [4, 8] and tf_pai.verify(model)
