"""Models that are changed where they are, and what of a training goes on: slots, exclusions, own functions."""

import random

import keras
import numpy as np
import pytest

import tf_pai
from tests.compute.models import LOSS, data, difference, network, pruned, subclassed
from tf_pai.compute import timing

L = keras.layers


def fit(model):
    x, y = data()
    model.fit(x, y, batch_size=16, shuffle=False, verbose=0)
    return model


def test_a_subclassed_model_trains_on_in_another_form():
    """Masked for three epochs, or masked, sparse, masked: the same weights, and the optimizer at the same step."""
    masked, changing = pruned(subclassed()), pruned(subclassed())
    for model in (masked, changing):
        model.compile(keras.optimizers.Adam(1e-3), LOSS, metrics=["accuracy"])
    for change in (lambda m: m, tf_pai.to_sparse, tf_pai.to_dense):
        changing = fit(change(changing))
        fit(masked)
        assert int(changing.optimizer.iterations) == int(masked.optimizer.iterations)
    assert difference(masked, changing) < 1e-5


@keras.saving.register_keras_serializable("tests")
class WithBody(keras.Model):
    """A Sequential inside, as many write their models."""

    def __init__(self, **options):
        super().__init__(**options)
        self.body = keras.Sequential([L.Conv2D(4, 3, use_bias=False), L.BatchNormalization(), L.ReLU(), L.Flatten()])
        self.head = L.Dense(3)

    def call(self, x, training=None):
        return self.head(self.body(x, training=training))


def with_body():
    keras.utils.set_random_seed(5)
    model = WithBody()
    model(np.zeros((1, 8, 8, 2), "float32"))
    return model


def test_a_sequential_inside_a_subclassed_model_is_converted_too(tmp_path):
    masked, changing = pruned(with_body()), pruned(with_body())
    paths = list(tf_pai.get_masks(masked))
    for model in (masked, changing):
        model.compile(keras.optimizers.Adam(1e-3), LOSS)
    fit(masked), fit(changing)
    sparse = tf_pai.to_sparse(changing)
    kinds = [type(layer).__name__ for layer in (*sparse.body.layers, sparse.head)]
    assert kinds == ["SparseConv2D", "FusedBatchNormalization", "ReLU", "Flatten", "SparseDense"]
    assert list(tf_pai.get_masks(sparse)) == paths and sparse is changing
    fit(masked), fit(sparse)
    sparse.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    x, _ = data(4)
    np.testing.assert_array_equal(loaded(x), sparse(x))
    assert [type(layer).__name__ for layer in (*loaded.body.layers, loaded.head)] == kinds
    grown = {paths[0]: np.ones((3, 3, 2, 4))}
    assert tf_pai.set_masks(loaded, grown) is loaded and loaded.body.layers[0].nnz == 72
    back = tf_pai.to_dense(sparse)
    assert list(tf_pai.get_masks(back)) == paths and tf_pai.verify(back)
    fit(masked), fit(back), fit(loaded)
    assert difference(masked, back) < 1e-4  # both are stripped
    assert type(tf_pai.strip(loaded).body.layers[0]) is L.Conv2D and not tf_pai.get_masks(loaded)


class Sharing(keras.Model):
    """Two models inside, one of which has the other's layer."""

    def __init__(self):
        super().__init__()
        self.encoder = keras.Sequential([keras.Input((8, 8, 2)), L.Flatten(), L.Dense(4)])
        inputs = keras.Input((8, 8, 2))
        self.whole = keras.Model(inputs, L.Dense(3)(self.encoder(inputs)))

    def call(self, x):
        return self.whole(x)


def test_models_inside_that_share_layers_stay_masked_from_outside():
    model = Sharing()
    model(data(1)[0])
    model = pruned(model)
    sparse = tf_pai.to_sparse(model)
    assert len(sparse.trainable_variables) == 4 and tf_pai.verify(sparse)


def test_masks_beside_a_sparse_layer_inside_leave_the_optimizer():
    class Body(keras.Model):
        def __init__(self):
            super().__init__()
            sparse = tf_pai.layers.SparseDense(4, density=0.5)
            self.body = keras.Sequential([L.Flatten(), sparse, L.Dense(3, name="fc")])

        def call(self, x):
            return self.body(x)

    model = Body()
    model.compile("adam", LOSS)
    fit(model)
    assert tf_pai.set_masks(model, {"body/fc/kernel": np.eye(4, 3)}) is model
    assert int(fit(model).optimizer.iterations) == 8 and tf_pai.verify(model)


def test_paths_stay_where_a_layer_changes_its_form():
    class One(keras.Model):
        def __init__(self):
            super().__init__()
            self.flat, self.fc = L.Flatten(), tf_pai.layers.SparseDense(3, density=0.5)

        def call(self, x):
            return self.fc(self.flat(x))

    model = One()
    model.compile("adam", LOSS)
    paths = list(tf_pai.get_masks(fit(model)))
    assert paths == ["fc/kernel"] and list(tf_pai.get_masks(tf_pai.to_dense(model))) == paths
    assert int(model.optimizer.iterations) == 4
    assert type(tf_pai.strip(tf_pai.to_sparse(model)).fc) is L.Dense


def test_an_optimizer_that_trains_other_weights_is_not_refused():
    class Outer(keras.Model):
        def train_step(self, batch):
            self.inner(batch[0], training=True)
            return super().train_step(batch)

        def call(self, x):
            return self.fc(self.flat(x))

    model = Outer()
    model.flat, model.fc = L.Flatten(), L.Dense(3)
    inner = tf_pai.to_sparse(pruned())
    inner.trainable = False
    model.inner = inner
    model.compile(keras.optimizers.Muon(), LOSS)
    fit(model)


def test_a_sparse_layer_inside_stays_while_another_gets_more_weights():
    inner = L.TimeDistributed(tf_pai.layers.SparseDense(3, density=0.5))
    layers = [inner, tf_pai.layers.SparseDense(2, density=0.5, name="fc")]
    model = keras.Sequential([keras.Input((4, 6)), *layers])
    assert tf_pai.set_masks(model, {"fc/kernel": np.ones((3, 2))}).get_layer("fc").nnz == 6


def test_a_stripped_sparse_model_keeps_slots_and_step():
    model = tf_pai.to_sparse(pruned())
    model.compile(keras.optimizers.SGD(0.01, momentum=0.9), LOSS)
    slots = {path: held.positions() for path, held in tf_pai.layers.held_masks(fit(model)).items()}
    before = [slot.numpy() for slot in model.optimizer.momentums if slot.name.endswith("kernel_momentum")]
    plain = tf_pai.strip(model)
    after = [slot.numpy() for slot in plain.optimizer.momentums if slot.name.endswith("kernel_momentum")]
    assert int(plain.optimizer.iterations) == 4
    for old, new, flat in zip(before, after, slots.values(), strict=True):
        np.testing.assert_array_equal(old, new.reshape(-1)[flat])
        assert np.count_nonzero(new) == np.count_nonzero(old)


def test_a_stripped_subclassed_model_trains_on():
    masked, sparse = pruned(subclassed()), tf_pai.to_sparse(pruned(subclassed()))
    for model in (masked, sparse):
        model.compile("adam", LOSS)
        optimizer = fit(model).optimizer
        assert tf_pai.strip(model) is model and (model.optimizer is optimizer) == (model is masked)
        fit(model)
    assert not tf_pai.get_masks(sparse)


def test_a_subclassed_model_gets_more_weights_and_trains_on():
    model = tf_pai.to_sparse(pruned(subclassed()))
    model.compile(keras.optimizers.SGD(0.01, momentum=0.9), LOSS)
    fit(model)
    before = model.conv.dense_value()
    mask = tf_pai.get_masks(model)["conv/kernel"]
    grown = mask.copy()
    grown.flat[np.flatnonzero(~mask)[:5]] = True
    assert tf_pai.set_masks(model, {"conv/kernel": grown}) is model
    np.testing.assert_array_equal(model.conv.dense_value(), before)
    assert model.conv.nnz == mask.sum() + 5 and int(model.optimizer.iterations) == 4
    fit(model)
    assert int(model.optimizer.iterations) == 8 and tf_pai.verify(model)


@pytest.mark.parametrize("kind", [network, subclassed])
def test_what_is_excluded_from_weight_decay_stays_so(kind):
    model = pruned(kind())
    optimizer = keras.optimizers.AdamW(1e-3, weight_decay=0.1)
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    model.compile(optimizer, LOSS)
    fit(model)
    for change in (tf_pai.to_sparse, tf_pai.to_dense):
        model = change(model)
        decays = {w.name: model.optimizer._use_weight_decay(w) for w in model.trainable_variables}
        assert decays == {"kernel": True, "bias": False}


def squared(x):
    return x * x


def test_functions_of_ones_own_stay():
    layers = [
        L.Conv2D(4, 3, activation=lambda x: x + 1, activity_regularizer=lambda x: keras.ops.sum(x), name="conv"),
        L.Flatten(),
        L.Dense(3, activation=squared, name="fc"),
    ]
    masked = pruned(keras.Sequential([keras.Input((8, 8, 2)), *layers]))
    x, _ = data(4)
    sparse = tf_pai.to_sparse(masked)
    assert [type(layer).__name__ for layer in sparse.layers] == ["SparseConv2D", "Flatten", "SparseDense"]
    larger = tf_pai.set_masks(sparse, {"fc/kernel": np.ones((144, 3))})
    assert larger.get_layer("fc").nnz == 432
    for model in (sparse, larger, tf_pai.to_dense(sparse), tf_pai.strip(sparse)):
        np.testing.assert_allclose(model(x), masked(x), atol=1e-4)


def test_a_sparse_layer_that_another_one_holds_is_named():
    inner = tf_pai.layers.SparseDense(3, density=0.5, name="inner")
    model = keras.Sequential([keras.Input((4, 6)), L.TimeDistributed(inner, name="outer")])
    changes = {
        "strip": tf_pai.strip,
        "to_dense": tf_pai.to_dense,
        "set_masks": lambda m: tf_pai.set_masks(m, {next(iter(tf_pai.get_masks(m))): np.ones((6, 3))}),
    }
    for change in changes.values():
        with pytest.raises(ValueError, match="Received: sparse 'outer/inner', which another layer holds"):
            change(model)
    assert tf_pai.verify(model)


def test_sparse_layers_are_not_pruned_again():
    layer = tf_pai.layers.SparseDense(3, density=0.5)
    with pytest.raises(ValueError, match="Its layers are sparse already: call tf_pai.to_dense first"):
        tf_pai.prune_at_init(keras.Sequential([keras.Input((6,)), layer]), "magnitude", 0.9)


@pytest.mark.parametrize("name", ["_perm", "_row_idx", "_col_ptr"])
def test_verify_sees_both_orders_of_a_structure(name):
    layer = tf_pai.layers.SparseDense(6, density=0.5, seed=0, name="fc")
    model = keras.Sequential([keras.Input((8,)), layer])
    variable = getattr(layer, name)
    variable.assign(variable.numpy()[::-1].copy())
    with pytest.raises(ValueError, match=f"hold the same places. Received: another {name[1:]} than"):
        tf_pai.verify(model)


class TestTiming:
    def test_does_not_touch_the_draws_of_a_run(self, monkeypatch):
        monkeypatch.setattr(timing, "_known", {})
        monkeypatch.setattr(timing, "_ratio", lambda *steps: 0.5)
        layer = pruned().get_layer("fc")
        states = []
        for _ in range(2):
            keras.utils.set_random_seed(0)
            timing.step_ratio(layer)
            states.append(random.random())
        assert states[0] == states[1] == random.Random(0).random()

    def test_shapes_fit_windows_and_memory(self):
        wide = pruned(keras.Sequential([keras.Input((None, None, 2)), L.Conv2D(3, 17, name="conv")]))
        assert timing._input_shapes(wide.layers[0]) == [(128, 17, 17, 2)]
        big = pruned(keras.Sequential([keras.Input((224, 224, 64)), L.Conv2D(64, 3, padding="same", name="conv")]))
        ((batch, *rest),) = timing._input_shapes(big.layers[0])
        assert rest == [224, 224, 64] and batch == 2**25 // (224 * 224 * 64) == 10
