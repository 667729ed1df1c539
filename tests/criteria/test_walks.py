"""PHEW's walks: they stay on the graph, cover what is asked, prefer large weights, and say what they cannot follow."""

import itertools

import keras
import numpy as np
import pytest

import tf_pai
from tests.criteria import models
from tf_pai.criteria.walk_steps import Chain, Concatenated, Flattened, Kernel, Same
from tf_pai.criteria.walks import Walks

L = keras.layers


def visited(found):
    """{walker: [index of each weight it went through]} in walking order."""
    paths = {}
    for walkers, visits in found:
        for variable, indices in visits:
            places = np.stack(np.unravel_index(indices, variable.shape), axis=1)
            for walker, place in zip(walkers.tolist(), places.tolist(), strict=True):
                paths.setdefault(walker, []).append(place)
    return paths


def test_forward_and_backward_walks_are_connected_paths():
    model = keras.Sequential([keras.Input((4,)), L.Dense(5), L.ReLU(), L.Dense(3), L.Dense(2)])
    walks = Walks(model, lambda variable: variable.numpy())
    forward = visited(walks.forward(np.arange(4), np.random.default_rng(0)))
    backward = visited(walks.backward(np.arange(2), np.random.default_rng(0)))
    assert [path[0][0] for path in forward.values()] == [0, 1, 2, 3]
    assert [path[0][1] for path in backward.values()] == [0, 1]
    assert all(len(path) == 3 for path in [*forward.values(), *backward.values()])
    assert all(a[1] == b[0] for path in forward.values() for a, b in itertools.pairwise(path))
    assert all(a[0] == b[1] for path in backward.values() for a, b in itertools.pairwise(path))


def kernel_of(values, inputs=(-2,), outputs=(-1,)):
    return Kernel(keras.Variable(np.zeros(np.shape(values))), np.array(values, float), inputs, outputs)


def test_the_chance_of_a_step_is_the_weights_share():
    # from unit 0: |w| = (1, 3), so three quarters go to 1; back from unit 1: |w| = (3, 1), so a quarter come from 1
    kernel, rng = kernel_of([[-1, 3], [2, -1]]), np.random.default_rng(0)
    units, _ = kernel.forward(None, np.zeros(10_000, int), rng)
    assert units.mean() == pytest.approx(0.75, abs=0.02)
    _, units, _ = kernel.backward(np.ones(10_000, int), rng)
    assert units.mean() == pytest.approx(0.25, abs=0.02)


def test_where_all_weights_are_zero_any_is_taken():
    units, _ = kernel_of([[0, 0, 0, 0]]).forward(None, np.zeros(4000, int), np.random.default_rng(0))
    assert np.bincount(units) == pytest.approx(np.full(4, 1000), abs=150)


def test_depthwise_units_keep_their_channel():
    kernel, rng = kernel_of(np.ones((3, 3, 4, 2)), outputs=(-2, -1)), np.random.default_rng(0)
    units, _ = kernel.forward(None, np.arange(4), rng)
    assert (units // 2).tolist() == [0, 1, 2, 3]
    assert kernel.backward(units, rng)[1].tolist() == [0, 1, 2, 3]


def test_flatten_concatenate_and_merge():
    rng = np.random.default_rng(0)
    flat, _ = Flattened(6, 4).forward(None, np.full(100, 3), rng)
    assert set((flat % 4).tolist()) == {3} and len(set(flat.tolist())) == 6
    slots, units, _ = Concatenated([2, 3]).backward(np.array([0, 1, 2, 4]), rng)
    assert slots.tolist() == [0, 0, 1, 1] and units.tolist() == [0, 1, 0, 2]
    assert Concatenated([2, 3]).forward(slots, units, rng)[0].tolist() == [0, 1, 2, 4]
    assert set(Same(2).backward(np.zeros(50, int), rng)[0].tolist()) == {0, 1}
    assert Chain(Flattened(6, 4), Same()).backward(np.array([5]), rng)[1].tolist() == [1]


def branches():
    inputs = keras.Input((8, 8, 3))
    a = L.Conv2D(4, 3, padding="same", name="a")(inputs)
    b = L.SeparableConv2D(4, 3, padding="same", name="b")(inputs)
    x = L.Concatenate()([L.BatchNormalization()(a), b])
    x = L.Add()([x, L.DepthwiseConv2D(3, padding="same", name="depthwise")(x)])
    inner = keras.Sequential([keras.Input((8, 8, 8)), L.Conv2D(8, 1, name="one"), L.ReLU()], name="inner")
    x = inner(inner(x))
    x = L.MaxPooling2D()(L.Conv2DTranspose(6, 2, name="up")(x))
    return keras.Model(inputs, [L.Dense(2, name="left")(L.Flatten()(x)), L.Dense(3, name="right")(L.Flatten()(x))])


def test_every_layer_of_a_graph_with_branches_is_reached():
    model = tf_pai.prune_at_init(branches(), "phew", 0.5, seed=0)
    assert all(mask.any() for mask in tf_pai.get_masks(model).values())
    assert tf_pai.sparsity(model) == pytest.approx(0.5, abs=1e-3)


@pytest.mark.parametrize("sparsity", [0.0, 0.3, 0.9, 0.97])
def test_the_number_asked_for_is_covered_exactly(sparsity):
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((20,)), L.Dense(30, activation="relu"), L.Dense(10)])
    masks = tf_pai.get_masks(tf_pai.prune_at_init(model, "phew", sparsity, seed=1))
    assert sum(int(mask.sum()) for mask in masks.values()) == round((1 - sparsity) * 900)


def test_large_weights_are_preferred():
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((30,)), L.Dense(30, name="a"), L.Dense(30, name="b")])
    masks = tf_pai.get_masks(tf_pai.prune_at_init(model, "phew", 0.9, seed=0))
    for name in "ab":
        sizes = np.abs(model.get_layer(name).kernel.numpy())
        assert sizes[masks[f"{name}/kernel"]].mean() > 1.2 * sizes.mean()


def test_weights_that_do_not_take_part_are_walked_through_but_not_counted():
    model = keras.Sequential([keras.Input((6,)), L.Dense(8, name="a"), L.Dense(4, name="b")])
    masks = tf_pai.get_masks(tf_pai.prune_at_init(model, "phew", 0.5, exclude="a", seed=0))
    assert list(masks) == ["b/kernel"] and masks["b/kernel"].sum() == 16


@pytest.mark.parametrize("family", ["transformer", "lstm"])
def test_token_models_cannot_be_walked(family):
    with pytest.raises(ValueError, match=r"PHEW walks through Dense, convolution and depthwise layers.*\(Embedding\)"):
        tf_pai.prune_at_init(models.FAMILIES[family][0](), "phew", 0.5)


@pytest.mark.parametrize(
    "make",
    [
        lambda: L.Permute((2, 1), name="it"),
        lambda: L.Conv1D(4, 3, groups=2, name="it"),
        lambda: L.Reshape((2, 16), name="it"),
        lambda: L.TimeDistributed(L.Dense(3), name="it"),
        lambda: L.SimpleRNN(3, return_sequences=True, name="it"),
    ],
)
def test_other_layers_it_cannot_follow(make):
    model = keras.Sequential([keras.Input((8, 4)), make(), L.Flatten(), L.Dense(2)])
    with pytest.raises(ValueError, match="Received: 'it'"):
        tf_pai.prune_at_init(model, "phew", 0.5)


def test_a_subclassed_model_has_no_known_graph():
    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.fc = L.Dense(2)

        def call(self, x):
            return self.fc(x)

    model = Own()
    model(np.zeros((1, 3), "float32"))
    with pytest.raises(ValueError, match="the model's graph must be known"):
        tf_pai.prune_at_init(model, "phew", 0.5)
