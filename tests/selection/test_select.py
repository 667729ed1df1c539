"""Select_subnet: what is trained, what is kept, what stays untouched."""

import hashlib

import keras
import numpy as np
import pytest
import tensorflow as tf

import tf_pai
from tf_pai.layers import prunable_layers, weights_of
from tf_pai.selection import ScoredLayer

L = keras.layers


def dense_net(dtype=None):
    layers = [L.Dense(16, "relu", name="fc1", dtype=dtype), L.Dense(3, name="fc2", dtype=dtype)]
    return keras.Sequential([keras.Input((8,)), *layers])


def conv_net():
    inputs = keras.Input((6, 6, 4))
    x = L.Conv2D(8, 3, use_bias=False, name="conv")(inputs)
    x = L.ReLU()(L.BatchNormalization(name="norm")(x))
    return keras.Model(inputs, L.Dense(3, name="fc")(L.GlobalAveragePooling2D()(x)))


class Subclassed(keras.Model):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.hidden, self.out = L.Dense(16, "relu"), L.Dense(3)

    def call(self, x):
        return self.out(self.hidden(x))

    def get_config(self):
        return {"name": self.name}


keras.saving.register_keras_serializable("tests")(Subclassed)


def batch(shape=(8,), n=64):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((n, *shape)).astype("float32")
    return x, x.reshape(n, -1)[:, :3].argmax(1)


def compiled(model, optimizer="adam"):
    model.compile(optimizer, keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
    return model


def digest(model):
    moving = ("moving_mean", "moving_variance")
    values = [v.numpy().tobytes() for path, v in weights_of(model).items() if not path.endswith(moving)]
    return hashlib.sha256(b"".join(values)).hexdigest()


def select(model, method="hidden", sparsity=0.5, optimizer=None, **options):
    optimizer = keras.optimizers.Adam(0.05) if optimizer is None else optimizer
    return compiled(tf_pai.select_subnet(model, method, sparsity, **{"seed": 0, **options}), optimizer)


METHODS = ["deconstruct", "hidden", "multi_prize", "supsup"]


@pytest.mark.parametrize("method", METHODS)
def test_fit_learns_and_never_writes_a_weight(method):
    model = select(dense_net(), method, optimizer=keras.optimizers.Adam(0.5 if method == "deconstruct" else 0.05))
    x, y = batch()
    before, masks, loss = digest(model), tf_pai.get_masks(model), model.evaluate(x, y, verbose=0)[0]
    model.fit(x, y, epochs=12, verbose=0)
    assert model.evaluate(x, y, verbose=0)[0] < 0.8 * loss
    assert digest(model) == before
    assert any((mask != masks[path]).any() for path, mask in tf_pai.get_masks(model).items())


@pytest.mark.parametrize("sparsity", [0.0, 0.3, 0.9])
def test_exactly_k_weights_are_kept_before_and_after_training(sparsity):
    model = select(dense_net(), sparsity=sparsity)
    kept = {path: int(mask.sum()) for path, mask in tf_pai.get_masks(model).items()}
    assert kept == {"fc1/kernel": round((1 - sparsity) * 128), "fc2/kernel": round((1 - sparsity) * 48)}
    model.fit(*batch(), epochs=2, verbose=0)
    assert {path: int(mask.sum()) for path, mask in tf_pai.get_masks(model).items()} == kept


def test_weights_are_signed_constants_scaled_by_k():
    model = select(dense_net(), sparsity=0.75)
    assert np.allclose(np.abs(model.get_layer("fc1").kernel.numpy()), np.sqrt(2 / 8) / np.sqrt(0.25))


def test_own_weights_are_kept():
    plain = dense_net()
    model = select(plain, tf_pai.selection.Hidden(scale=False), weights="own")
    for path, variable in weights_of(plain).items():
        assert np.array_equal(variable.numpy(), weights_of(model)[path].numpy())


def test_the_same_seed_gives_the_same_network():
    one, two, other = (select(dense_net(), seed=seed) for seed in (3, 3, 4))
    x, _ = batch()
    assert np.array_equal(one(x), two(x))
    assert not np.array_equal(one(x), other(x))


@pytest.mark.parametrize("structure", ["2:4", "block:2x1", "filter"])
def test_structures(structure):
    model = select(conv_net(), structure=structure)
    model.fit(*batch((6, 6, 4)), epochs=1, verbose=0)
    mask = tf_pai.get_masks(model)["conv/kernel"]
    assert mask.mean() == 0.5
    if structure == "2:4":
        assert (mask.sum(2) == 2).all()
    if structure == "filter":
        assert set(mask.sum((0, 1, 2))) == {0, 36}


def test_the_sparsity_that_is_not_given_is_a_half_or_the_pattern_s():
    assert tf_pai.sparsity(tf_pai.select_subnet(dense_net(), seed=0)) == 0.5
    assert tf_pai.sparsity(tf_pai.select_subnet(dense_net(), structure="1:4", seed=0)) == 0.75


@pytest.mark.parametrize("method", METHODS)
def test_verify_looks_at_what_is_computed_with(method):
    model = select(dense_net(), method)
    model.fit(*batch(), verbose=0)
    assert tf_pai.verify(model)


@pytest.mark.parametrize("method", METHODS)
def test_a_checkpoint_brings_scores_back(method, tmp_path):
    x, y = batch()
    model, other = (select(dense_net(), method) for _ in range(2))
    for layer in other.layers:
        layer.draw_scores(seed=9)
    model.fit(x, y, verbose=0)
    path = tf.train.Checkpoint(model).save(str(tmp_path / "checkpoint"))
    tf.train.Checkpoint(other).restore(path).expect_partial()
    assert np.array_equal(other(x), model(x))
    for layer in prunable_layers(other).values():
        layer.project()  # as after the next step
    assert np.array_equal(other(x), model(x))


def test_a_distribution_gives_each_layer_its_own_k():
    model = select(dense_net(), distribution={"fc1": 0.75, "fc2": 0.25})
    assert [mask.mean() for mask in tf_pai.get_masks(model).values()] == [0.25, 0.75]


def test_layers_that_compete_keep_k_in_all_together(tmp_path):
    model = select(dense_net(), distribution="global", sparsity=0.75)
    first = [int(mask.sum()) for mask in tf_pai.get_masks(model).values()]
    model.fit(*batch(), epochs=6, verbose=0)
    kept = [int(mask.sum()) for mask in tf_pai.get_masks(model).values()]
    assert sum(first) == sum(kept) == round(0.25 * (128 + 48))
    assert kept != first
    assert_global_masks(model)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    loaded.fit(*batch(), epochs=1, verbose=0)
    loaded.layers[0].draw_scores(seed=9)
    assert_global_masks(loaded)
    again = [int(mask.sum()) for mask in tf_pai.get_masks(loaded).values()]
    assert sum(again) == sum(kept) and again != kept


def assert_global_masks(model):
    """Every kept weight of `dense_net` has a higher |score| * sqrt(fan_in) than every other."""
    ranks = [np.abs(layer.scores["kernel"].numpy()) * n**0.5 for layer, n in zip(model.layers, (8, 16), strict=True)]
    rank = np.concatenate([rank.ravel() for rank in ranks])
    mask = np.concatenate([mask.ravel() for mask in tf_pai.get_masks(model).values()])
    assert rank[mask].min() >= rank[~mask].max()


@pytest.mark.parametrize("structure", ["block:2x1", "filter"])
def test_structures_compete_too(structure):
    model = select(conv_net(), structure=structure, distribution="global")
    model.fit(*batch((6, 6, 4)), epochs=1, verbose=0)
    assert tf_pai.sparsity(model) == pytest.approx(0.5, abs=0.02)


def test_batch_norm_keeps_its_scale_and_moves_its_statistics():
    model = select(conv_net())
    model.fit(*batch((6, 6, 4)), epochs=1, verbose=0)
    norm = model.get_layer("norm")
    assert (norm.gamma.numpy() == 1).all() and (norm.moving_mean.numpy() != 0).any()
    assert [v.name for v in model.trainable_variables] == ["scores", "scores"]


@pytest.mark.parametrize("method", METHODS)
def test_a_subclassed_model_that_does_not_say_whether_it_trains(method):
    model, (x, y) = Subclassed(), batch()
    model(x)
    model = select(model, method)
    scores = [v.numpy() for v in model.trainable_variables]
    model.fit(x, y, verbose=0)
    assert all((v.numpy() != old).any() for v, old in zip(model.trainable_variables, scores, strict=True))


def test_making_the_model_trainable_trains_no_weight():
    model = select(dense_net())
    model.trainable = True
    assert {v.name for v in model.trainable_variables} == {"scores"}


@pytest.mark.parametrize(("make", "method"), [*((dense_net, method) for method in METHODS), (Subclassed, "hidden")])
def test_save_and_load(make, method, tmp_path):
    plain, (x, y) = make(), batch()
    plain(x)
    model = select(plain, method)
    model.fit(x, y, epochs=2, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert np.array_equal(loaded(x), model(x))
    before = digest(loaded)
    loaded.fit(x, y, epochs=1, verbose=0)
    assert digest(loaded) == before
    assert {v.name for v in loaded.trainable_variables} == {"scores"}


@pytest.mark.parametrize(("make", "method"), [*((dense_net, method) for method in METHODS), (Subclassed, "hidden")])
def test_strip_gives_a_plain_trainable_network_of_the_same_outputs(make, method):
    plain, (x, y) = make(), batch()
    plain(x)
    model = select(plain, method)
    model.fit(x, y, epochs=2, verbose=0)
    outputs, masks = model(x), tf_pai.get_masks(model)
    bare = tf_pai.strip(model)
    assert not prunable_layers(bare)
    assert np.allclose(bare(x), outputs, atol=1e-6)
    assert len(bare.trainable_variables) == 4
    assert all(np.array_equal(weights_of(bare)[path].numpy() != 0, mask) for path, mask in masks.items())


@pytest.mark.parametrize("method", ["deconstruct", "hidden"])
def test_mixed_precision(method):
    x, y = batch()
    model = select(dense_net("mixed_float16"), method)
    before = digest(model)
    model.fit(x, y, epochs=2, verbose=0)
    assert digest(model) == before
    assert model(x).dtype == "float16"
    assert {v.dtype for v in model.trainable_variables} == {"float32"}


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
@pytest.mark.parametrize("method", METHODS)
def test_weights_of_other_types_have_scores_of_float32(method, dtype):
    x, y = batch()
    model = select(dense_net(dtype), method)
    before, scores = digest(model), [v.numpy() for v in model.trainable_variables]
    model.fit(x, y, verbose=0)
    assert digest(model) == before
    assert {v.dtype for v in model.trainable_variables} == {"float32"}
    assert all((v.numpy() != old).any() for v, old in zip(model.trainable_variables, scores, strict=True))


@pytest.mark.parametrize("optimizer", ["adamw", "adafactor"])
def test_any_optimizer(optimizer):
    model = select(dense_net(), optimizer=optimizer)
    before = digest(model)
    model.fit(*batch(), epochs=1, verbose=0)
    assert digest(model) == before


def test_a_compiled_model_is_compiled_anew():
    plain = compiled(dense_net())
    plain.fit(*batch(), epochs=1, verbose=0)
    model = tf_pai.select_subnet(plain, seed=0)
    model.fit(*batch(), epochs=1, verbose=0)
    assert int(model.optimizer.iterations) == 2 and not prunable_layers(plain)


def test_regularizer_of_the_scores():
    model = select(dense_net(), tf_pai.selection.Hidden(regularizer=keras.regularizers.L2(0.1)))
    model(batch()[0])
    scores = [v for layer in model.layers if isinstance(layer, ScoredLayer) for v in layer.scores.values()]
    wanted = 0.1 * sum(float((v.numpy() ** 2).sum()) for v in scores)
    assert float(sum(model.losses)) == pytest.approx(wanted, rel=1e-5)
