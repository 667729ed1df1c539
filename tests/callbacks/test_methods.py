"""What makes each method the one it is."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tf_pai
from tests.callbacks.models import L, data, method, mlp, same
from tf_pai.callbacks import DNS, DSR, MEST, SNFS, DeepR, RigL, TopKAST
from tf_pai.callbacks.slots import slots_of
from tf_pai.callbacks.weights import WeightState
from tf_pai.layers import prunable_layers
from tf_pai.layers.dynamic import recall
from tf_pai.masks import masked_weights


def one_layer(weights, mask, optimizer="sgd"):
    """A model of one layer with these weights, compiled."""
    weights = np.array(weights, "float32")
    model = keras.Sequential([keras.Input((len(weights),)), L.Dense(weights.shape[1], use_bias=False, name="fc")])
    model.layers[0].kernel.assign(weights)
    model = tf_pai.set_masks(model, {"fc/kernel": np.array(mask, bool)})
    model.compile(optimizer, "mse")
    model.optimizer.build(model.trainable_variables)
    return model


def begin(callback, model):
    """Lets a callback begin as in a loop, and returns the state of the first weight."""
    callback.begin(model)
    return state_of(callback)


def state_of(callback, keep=0, total=0, step=1):
    return WeightState(callback.weights[0], None, step, tf.constant(keep), tf.constant(total), callback.seed)


class Watch(keras.callbacks.Callback):
    """Calls a function with the model after each batch."""

    def __init__(self, look):
        super().__init__()
        self.look = look

    def on_train_batch_end(self, batch, logs=None):
        self.look(self.model)


def counts(model):
    return [int(mask.sum()) for mask in tf_pai.get_masks(model).values()]


OPTIMIZERS = {
    "SGD": {"momentum": 0.9},
    "Adam": {"amsgrad": True, "use_ema": True},
    "Adagrad": {},
    "Ftrl": {},
    "RMSprop": {"momentum": 0.9},
    "Muon": {},
    "Adadelta": {},
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_weights_come_to_life_at_zero_with_new_slots(name):
    model = mlp(getattr(keras.optimizers, name)(**OPTIMIZERS[name]))
    before = tf_pai.get_masks(model)
    model.fit(data(), verbose=0, callbacks=[method("RigL", update_every=8, end_step=8, decay="constant")])
    born_in_all = 0
    for path, (weight, _) in masked_weights(model).items():
        after = tf_pai.get_masks(model)[path]
        born, dead = after & ~before[path], ~after
        assert (weight.numpy()[born] == 0).all() and (weight.numpy()[dead] == 0).all()
        for slot in slots_of(model.optimizer, weight):
            np.testing.assert_allclose(slot.variable.numpy()[born], slot.initial, err_msg=slot.kind)
            assert (slot.variable.numpy()[dead] == 0).all(), slot.kind
        born_in_all += born.sum()
    assert born_in_all > 0


class TestDeepR:
    def test_signs_are_fixed_counts_are_strict_and_connections_move(self):
        model, signs, seen = mlp("sgd"), {}, []

        def look(model):
            seen.append(tf_pai.get_masks(model))
            assert counts(model) == counts_before
            for path, (weight, _) in masked_weights(model).items():
                now = np.sign(weight.numpy())
                before = signs.setdefault(path, now.copy())
                assert (before * now >= 0).all()
                signs[path] = np.where(before == 0, now, before)

        counts_before = counts(model)
        look(model)
        model.fit(data(), epochs=3, verbose=0, callbacks=[method("DeepR", temperature=0.1, end_step=24), Watch(look)])
        assert any((seen[0][path] != seen[-1][path]).any() for path in signs)

    def test_what_crosses_zero_goes_and_comes_back_with_its_sign(self):
        callback = DeepR(l1=1.0, temperature=0.0, end_step=5, seed=0)
        model = one_layer([[0.5, -0.005], [0.004, 0.0]], [[1, 1], [1, 0]], keras.optimizers.SGD(0.01))
        state = begin(callback, model)
        state.total = tf.constant(4)
        assert callback.select(state).numpy().all()  # theta -= lr * l1 = 0.01: two cross zero, three begin anew
        assert state.alive.numpy().tolist() == [[True, False], [False, False]]
        assert np.sign(callback.revived(state)).ravel().tolist()[:3] == [1, -1, 1]


class TestDNS:
    weights = [[1.0, 0.8], [0.75, 0.1]]

    def test_hysteresis_favours_what_is_alive(self):
        callback = DNS(sparsity=0.5, end_step=5, seed=0)
        state = begin(callback, one_layer(self.weights, [[1, 0], [1, 0]]))
        state.value, state.total = tf.constant(self.weights), tf.constant(2)
        #  |w| / (.9 alive, 1.1 pruned):  1.11  .73 / .83  .09
        assert callback.select(state).numpy().tolist() == [[True, False], [True, False]]
        state.value = tf.constant([[1.0, 0.95], [0.75, 0.1]])  # .95 / 1.1 = .86 beats .83
        assert callback.select(state).numpy().tolist() == [[True, True], [False, False]]

    def test_threshold(self):
        callback = DNS(threshold=0.0, end_step=5, seed=0)  # t = mean|w| = .6625; a = .596, b = .729
        state = begin(callback, one_layer(self.weights, [[1, 0], [0, 1]]))
        state.value = tf.constant([[1.0, 0.8], [0.7, 0.15]])
        assert callback.select(state).numpy().tolist() == [[True, True], [False, False]]
        assert callback.kept(1) is None

    def test_masks_of_ones_are_those_of_an_unpruned_model(self):
        model = keras.Sequential([keras.Input((8,)), tf_pai.PrunableLayer(L.Dense(16)), L.Dense(2)])
        model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        with pytest.raises(ValueError, match="TopKAST prunes to a sparsity"):
            model.fit(data(), verbose=0, callbacks=[TopKAST(update_every=2, end_step=8)])
        model.fit(data(), verbose=0, callbacks=[DNS(update_every=2, end_step=8, seed=0)])
        assert tf_pai.sparsity(model) > 0.5

    def test_an_unpruned_model_needs_no_sparsity(self):
        model = mlp("sgd", sparsity=None)
        model.fit(data(), verbose=0, callbacks=[DNS(update_every=2, end_step=8, seed=0)])
        assert 0.5 < tf_pai.sparsity(model) < 0.95 and tf_pai.verify(model)

    def test_pruned_weights_learn_and_come_back(self):
        model, seen = mlp("sgd", sparsity=None), []
        watch = Watch(lambda model: seen.append({p: w.numpy() for p, (w, _) in masked_weights(model).items()}))
        model.fit(data(), verbose=0, callbacks=[method("DNS", update_every=1, end_step=99, gamma=0), watch])
        assert sum((values != 0).all() for values in seen[-1].values()) == 3
        assert any((a != b).all() for a, b in zip(seen[0].values(), seen[-1].values(), strict=True))
        assert tf_pai.verify(model) and round(tf_pai.sparsity(model), 1) == 0.7


class TestTopKAST:
    def test_backward_set_holds_the_forward_set_and_alone_learns(self):
        model, looked = mlp("sgd", sparsity=None), []
        callback = TopKAST(sparsity=0.8, backward_sparsity=0.5, update_every=4, end_step=8, seed=0)
        before = {}

        def look(model):
            for path, layer in prunable_layers(model).items():
                forward, backward = layer.get_masks()["kernel"], recall(layer, "backward/kernel").numpy()
                assert (forward <= backward).all()
                assert abs(backward.sum() - forward.sum() * 2.5) <= 0.5
                if len(looked) % 4 and path in before:  # B is as it was in the step before
                    np.testing.assert_array_equal(layer.kernel.numpy()[~backward], before[path][~backward])
                before[path] = layer.kernel.numpy()
            looked.append(1)

        model.fit(data(), verbose=0, callbacks=[callback, Watch(look)])
        assert len(looked) == 8 and round(tf_pai.sparsity(model), 1) == 0.8


class TestDSR:
    def test_threshold_prunes_and_survivors_share_out(self):
        model = keras.Sequential([keras.Input((4,)), L.Dense(4, use_bias=False, name="a"), L.Dense(2, name="b")])
        model.layers[0].kernel.assign(np.arange(1, 17).reshape(4, 4) / 16)
        model.layers[1].kernel.assign(np.full((4, 2), 0.2))
        masks = {"a/kernel": np.arange(16).reshape(4, 4) >= 8, "b/kernel": np.arange(8).reshape(4, 2) < 4}
        model = tf_pai.set_masks(model, masks)
        model.compile("sgd", "mse")
        callback = DSR(threshold=0.7, end_step=5, drop_fraction=0.5, seed=0)
        begin(callback, model)
        #  a: 9/16 .. 16/16, of which 12/16 .. are above: 5; b: all below, but one is kept. Pruned: 3 + 3 = 6 of 12
        keep, total = callback.plan(1)
        assert keep == [5, 1]
        assert total == [10, 2]  # 6 by survivors, 5 : 1
        assert float(recall(callback.weights[0].layer, "threshold")) == pytest.approx(0.7)  # as many as wanted

    def test_threshold_adapts_in_the_model(self):
        model, callback = mlp(), method("DSR", threshold=1e-6, end_step=99)
        model.fit(data(), verbose=0, callbacks=[callback])
        memory = recall(next(iter(prunable_layers(model).values())), "threshold")
        assert float(memory) == pytest.approx(1e-6 * 2**4)


class TestSNFS:
    def test_momentum_of_pruned_weights_is_kept(self):
        model = mlp(keras.optimizers.SGD(0.05, momentum=0.9))
        model.fit(data(), verbose=0, callbacks=[method("SNFS", update_every=100, end_step=200)])
        for weight, mask in masked_weights(model).values():
            (slot,) = slots_of(model.optimizer, weight)
            assert (slot.variable.numpy()[mask.numpy() == 0] != 0).mean() > 0.5
        assert tf_pai.verify(model)

    @pytest.mark.parametrize("optimizer", [keras.optimizers.SGD(0.1, momentum=0.9, use_ema=True)])
    def test_averages_of_dropped_weights_are_zero(self, optimizer):
        model = mlp(optimizer)
        model.fit(data(), verbose=0, callbacks=[method("SNFS", update_every=8, end_step=8, decay="constant")])
        assert tf_pai.verify(model)

    def test_layers_exchange_weights_and_the_total_stays(self):
        model = mlp()
        before = counts(model)
        model.fit(data(), epochs=2, verbose=0, callbacks=[method("SNFS")])
        assert counts(model) != before and sum(counts(model)) == sum(before)

    def test_without_momentum_growth_goes_at_random(self):
        model = mlp("sgd")
        before = tf_pai.get_masks(model)
        model.fit(data(), verbose=0, callbacks=[SNFS(update_every=2, end_step=6, seed=0)])
        assert any((before[path] != mask).any() for path, mask in tf_pai.get_masks(model).items())


@pytest.mark.parametrize("name", ["DeepR", "DNS", "SET"])
def test_double_precision(name):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float64")
    try:
        model, callback = mlp("sgd", None if name == "DNS" else 0.7), method(name)
        model.fit(data(), verbose=0, callbacks=[callback])
    finally:
        keras.config.set_dtype_policy(before)
    assert tf_pai.verify(model) and callback.history.updates


def test_mest_weighs_gradients_of_the_loss_as_it_is_before_it_is_scaled():
    masks = []
    scaled = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.01), initial_scale=2.0**12)
    for optimizer in (keras.optimizers.SGD(0.01), keras.optimizers.SGD(0.01, loss_scale_factor=65536.0), scaled):
        model = mlp(optimizer)
        callback = MEST(update_every=1, end_step=9, drop_fraction=0.5, decay="constant", soft_bound=False, seed=1)
        model.fit(data().take(1), verbose=0, callbacks=[callback])
        masks.append(tf_pai.get_masks(model))
    assert same(masks[0], masks[1]) and same(masks[0], masks[2])


def test_mest_holds_more_between_updates_and_its_bound_in_the_end():
    model, seen = mlp(), []
    start = counts(model)
    callback = MEST(update_every=3, end_step=12, drop_fraction=0.4, decay="constant", seed=0)
    model.fit(data(), epochs=2, verbose=0, callbacks=[callback, Watch(lambda model: seen.append(counts(model)))])
    extra = [min(int(n * np.float32(0.4)) + n, weight.size) for n, weight in zip(start, callback.weights, strict=True)]
    assert seen[0] == seen[1] == start and seen[2] == seen[10] == extra and seen[11] == seen[-1] == start


def test_granet_prunes_along_its_schedule_from_random_masks():
    model, seen = mlp(sparsity=None), []
    callback = method("GraNet", update_every=2, end_step=12)
    model.fit(
        data(), epochs=2, verbose=0, callbacks=[callback, Watch(lambda model: seen.append(tf_pai.sparsity(model)))]
    )
    assert seen[0] == pytest.approx(0.5, abs=0.01) and seen[-1] == pytest.approx(0.9, abs=0.01) and seen == sorted(seen)


def test_acdc_trains_dense_and_sparse_in_turn():
    model, seen = mlp(sparsity=None), []
    callback = method("ACDC", begin_step=2, update_every=2, end_step=8)
    model.fit(
        data(), epochs=2, verbose=0, callbacks=[callback, Watch(lambda m: seen.append(round(tf_pai.sparsity(m), 1)))]
    )
    assert seen == [0.0, 0.7, 0.7, 0.0, 0.0, 0.7, 0.7, 0.7] + [0.7] * 8


def test_acdc_compresses_at_once_where_there_is_no_warm_up():
    model, seen = mlp(sparsity=None), []
    callback = method("ACDC", begin_step=0, update_every=2, end_step=8)
    model.fit(data(), verbose=0, callbacks=[callback, Watch(lambda m: seen.append(round(tf_pai.sparsity(m), 1)))])
    assert seen == [0.7, 0.0, 0.0, 0.7, 0.7, 0.0, 0.0, 0.7] and tf_pai.verify(model)


def test_rigl_itop_explores_more_than_few_small_updates():
    rates = {}
    for name, options in {"RigLITOP": {"drop_fraction": 0.5}, "RigL": {"drop_fraction": 0.1}}.items():
        model, callback = mlp(), method(name, **options)
        rates[name] = model.fit(data(), epochs=2, verbose=0, callbacks=[callback]).history["exploration"][-1]
    assert rates["RigLITOP"] > rates["RigL"]


def test_every_method_of_the_track_is_registered_with_its_class():
    infos = {info.name: info for info in tf_pai.list_methods("dynamic")}
    rows = {infos[name].survey_name: infos[name].table_row for name in ("dns", "deepr", "set", "dsr", "snfs", "rigl")}
    names = ("DNS", "DeepR", "SET", "DSR", "SNFS", "RigL")
    assert rows == {name: f"Table 3, row {i}" for i, name in enumerate(names, start=1)}
    assert infos["rigl"].make is RigL and all(issubclass(i.make, tf_pai.callbacks.DynamicMasks) for i in infos.values())
