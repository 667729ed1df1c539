"""prune_at_init: what it takes, what it gives back, and what it leaves alone."""

import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf

import tf_pai

L = keras.layers
X = np.random.default_rng(0).standard_normal((12, 6)).astype("float32")
Y = np.random.default_rng(1).integers(0, 3, 12)


def network():
    keras.utils.set_random_seed(0)
    return keras.Sequential([keras.Input((6,)), L.Dense(8, activation="tanh", name="a"), L.Dense(3, name="b")])


def kept(model):
    return sum(int(mask.sum()) for mask in tf_pai.get_masks(model).values())


class Batches(keras.utils.PyDataset):
    def __len__(self):
        return 3

    def __getitem__(self, i):
        return X[4 * i : 4 * i + 4], Y[4 * i : 4 * i + 4]


def test_a_functional_model_is_rebuilt_and_the_original_untouched():
    model = network()
    model.compile("sgd", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    before = [variable.numpy() for variable in model.variables]
    pruned = tf_pai.prune_at_init(model, "magnitude", 0.5)
    assert pruned is not model and tf_pai.get_masks(model) == {} and pruned.compiled
    assert all((a == b.numpy()).all() for a, b in zip(before, model.variables, strict=True))
    masks = tf_pai.get_masks(pruned)
    for name in "ab":
        mask, kernel = masks[f"{name}/kernel"], model.get_layer(name).kernel.numpy()
        assert (pruned.get_layer(name).kernel.numpy() == kernel * mask).all()
    assert tf_pai.verify(pruned)


def test_the_default_is_snip_at_nine_tenths_on_random_data_with_one_warning():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        pruned = tf_pai.prune_at_init(network(), seed=0)
    assert kept(pruned) == round(0.1 * 72)
    (warning,) = [w for w in caught if "got none" in str(w.message)]
    assert "SNIP depends on training data and got none" in str(warning.message) and "data=" in str(warning.message)


@pytest.mark.parametrize("method", ["magnitude", "synflow", "ntk_sap", "phew", "random", "random_tickets"])
def test_methods_without_data_do_not_ask_for_it(method):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tf_pai.prune_at_init(network(), method, 0.5, seed=0)


def test_data_as_arrays_dataset_and_pydataset():
    whole = tf_pai.score(network(), "snip", data=(X, Y))
    dataset = tf_pai.score(network(), "snip", data=tf.data.Dataset.from_tensor_slices((X, Y)).batch(12))
    for path in whole:
        assert np.allclose(whole[path], dataset[path], rtol=1e-5, atol=1e-9)
    three = tf_pai.score(network(), "snip", data=Batches(), batches=3)  # a sum of three means, not a mean
    for path in whole:
        assert np.allclose(three[path], 3 * whole[path], rtol=1e-4, atol=1e-7)


def test_batches_of_a_dataset_beyond_its_end_are_not_missed():
    a, b = (tf_pai.score(network(), "snip", data=Batches(), batches=n) for n in (3, 30))
    assert all((a[path] == b[path]).all() for path in a)


def test_sample_weights_count():
    weights = np.zeros(12, "float32")
    weights[:4] = 3.0  # a mean over 12 in which the first 4 count three times: the mean of these
    weighted = tf_pai.score(network(), "snip", data=(X, Y, weights))
    first = tf_pai.score(network(), "snip", data=(X[:4], Y[:4]))
    for path in first:
        assert np.allclose(weighted[path], first[path], rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("sparsity", [0.0, 0.013, 0.5, 0.9, 0.987])
def test_the_number_kept_is_round_of_density_times_n(sparsity):
    assert kept(tf_pai.prune_at_init(network(), "magnitude", sparsity)) == round((1 - sparsity) * 72)


def test_the_seed_of_keras_makes_a_script_repeatable():
    masks = []
    for _ in range(2):
        model = network()
        keras.utils.set_random_seed(3)
        masks.append(tf_pai.get_masks(tf_pai.prune_at_init(model, "random", 0.5)))
    assert all((masks[0][path] == masks[1][path]).all() for path in masks[0])


def test_include_and_exclude_by_layer_or_weight():
    assert list(tf_pai.get_masks(tf_pai.prune_at_init(network(), "magnitude", 0.5, include="a"))) == ["a/kernel"]
    assert list(tf_pai.get_masks(tf_pai.prune_at_init(network(), "magnitude", 0.5, exclude="a/kernel"))) == ["b/kernel"]
    both = tf_pai.prune_at_init(network(), "magnitude", 0.5, include=["a", "b*"], exclude=["b/*"])
    assert list(tf_pai.get_masks(both)) == ["a/kernel"] and kept(both) == 24


def test_min_keep_leaves_the_count():
    model = network()
    model.get_layer("b").kernel.assign(model.get_layer("b").kernel * 1e-6)  # magnitude would empty it
    for distribution in ("global", "uniform", "erk"):
        pruned = tf_pai.prune_at_init(model, "magnitude", 0.75, min_keep=8, distribution=distribution)
        assert kept(pruned) == 18 and tf_pai.get_masks(pruned)["b/kernel"].sum() >= 8


def test_an_emptied_layer_is_named():
    model = network()
    model.get_layer("b").kernel.assign(model.get_layer("b").kernel * 1e-6)
    with pytest.warns(UserWarning, match="Pruning emptied b/kernel: no signal passes. Pass min_keep=1"):
        tf_pai.prune_at_init(model, "magnitude", 0.75)


def test_pruning_a_pruned_model_further_keeps_what_is_gone():
    once = tf_pai.prune_at_init(network(), "random", 0.5, seed=0)
    for method in ("magnitude", "synflow", "snip"):
        twice = tf_pai.prune_at_init(once, method, 0.75, data=(X, Y), seed=0)
        assert kept(twice) == 18
        first, second = tf_pai.get_masks(once), tf_pai.get_masks(twice)
        assert not any((second[path] & ~first[path]).any() for path in first)


def test_counts_of_each_round():
    schedule = tf_pai.schedules.Iterative(counts=[60, 30, 18])
    assert kept(tf_pai.prune_at_init(network(), "synflow", 0.75, schedule=schedule)) == 18


def test_a_criterion_of_the_users_own():
    class Negative(tf_pai.criteria.Criterion):
        needs_data = needs_labels = False

        def score(self, problem, masks):
            return {path: -np.abs(w) for path, w in problem.values().items()}

    masks = tf_pai.get_masks(tf_pai.prune_at_init(network(), Negative(), 0.5, include="a"))
    sizes = np.abs(network().get_layer("a").kernel.numpy())
    assert sizes[masks["a/kernel"]].max() <= sizes[~masks["a/kernel"]].min()


def test_approximated_isometry_follows_the_mask_of_snip():
    snip, ai = (tf_pai.prune_at_init(network(), method, 0.5, data=(X, Y), seed=0) for method in ("snip", "ai"))
    for path, mask in tf_pai.get_masks(snip).items():
        assert (tf_pai.get_masks(ai)[path] == mask).all()

    def penalty(model):
        kernels = [model.get_layer(name).kernel.numpy() for name in "ab"]
        return sum(np.linalg.norm(w.T @ w - np.eye(w.shape[1])) for w in kernels)

    assert penalty(ai) < penalty(snip) and tf_pai.verify(ai)


def test_isometry_of_convolutions_and_of_filters():
    keras.utils.set_random_seed(0)
    layers = [L.Conv2D(4, 3, name="conv"), L.Conv2DTranspose(4, 2, name="up"), L.Flatten(), L.Dense(3, name="fc")]
    model = keras.Sequential([keras.Input((5, 5, 2)), *layers])
    pruned = tf_pai.prune_at_init(model, "magnitude", 0.5, structure="filter")
    tf_pai.static.approximate_isometry(pruned, steps=50)
    kernel = pruned.get_layer("conv").kernel.numpy().reshape(-1, 4)
    alive = kernel[:, kernel.any(axis=0)]
    assert np.allclose(alive.T @ alive, np.eye(alive.shape[1]), atol=0.15) and tf_pai.verify(pruned)


def test_isometry_is_for_pruned_models():
    with pytest.raises(ValueError, match=r"Approximated isometry is for a pruned model. Received"):
        tf_pai.static.approximate_isometry(network())
    with pytest.raises(ValueError, match=r"at least one step. Received: steps=0"):
        tf_pai.static.approximate_isometry(tf_pai.prune_at_init(network(), "magnitude", 0.5), steps=0)


def test_random_tickets_keep_less_with_depth():
    keras.utils.set_random_seed(0)
    convolutions = [L.Conv2D(16, 3, padding="same", name=f"conv{i}") for i in range(4)]
    model = keras.Sequential(
        [keras.Input((8, 8, 16)), *convolutions, L.GlobalAveragePooling2D(), L.Dense(10, name="fc")]
    )
    masks = tf_pai.get_masks(tf_pai.prune_at_init(model, "random_tickets", 0.9, seed=0))
    shares = [masks[f"conv{i}/kernel"].mean() for i in range(4)]
    assert shares == sorted(shares, reverse=True) and masks["fc/kernel"].mean() == pytest.approx(0.3, abs=0.01)
