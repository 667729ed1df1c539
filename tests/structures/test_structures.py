"""Patterns: each holds in every mask, with the count asked for."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tf_pai
from tf_pai import structures
from tf_pai.layers import prunable_weights
from tf_pai.structures import NM, Block, Filter, Unstructured

L = keras.layers


def weight_of(layer, shape):
    return next(iter(prunable_weights(keras.Sequential([keras.Input(shape), layer])).values()))


DENSE = weight_of(L.Dense(12), (8,))
CONV = weight_of(L.Conv2D(8, 3), (6, 6, 4))
TRANSPOSED = weight_of(L.Conv2DTranspose(8, 3), (6, 6, 4))
WEIGHTS = {"dense": DENSE, "conv": CONV}


def scores_for(weights, seed, values=5):
    """Scores of few values, so that ties are common."""
    rng = np.random.default_rng(seed)
    return {path: rng.integers(0, values, w.shape).astype("float32") for path, w in weights.items()}


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 99), st.integers(0, 384))
def test_unstructured_keeps_exactly_the_number(seed, keep):
    masks = Unstructured().choose(WEIGHTS, scores_for(WEIGHTS, seed), keep)
    assert sum(int(mask.sum()) for mask in masks.values()) == keep


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 99), st.sampled_from([(1, 2), (2, 4), (1, 4), (3, 4)]))
def test_n_of_m_along_the_input_axis(seed, pattern):
    n, m = pattern
    masks = NM(n, m).choose(WEIGHTS, scores_for(WEIGHTS, seed), keep=0)
    for path, mask in masks.items():
        groups = np.moveaxis(mask, -2, -1).reshape(-1, m)
        assert (groups.sum(axis=1) == n).all(), path


def test_n_of_m_keeps_the_highest_and_of_ties_the_first():
    scores = {"w": np.array([[1.0], [3.0], [3.0], [2.0], [0.0], [0.0], [0.0], [0.0]])}
    masks = NM(2, 4).choose({"w": weight_of(L.Dense(1), (8,))}, scores, keep=0)
    assert masks["w"].ravel().tolist() == [False, True, True, False, True, True, False, False]


def test_the_input_axis_of_a_transposed_convolution_is_its_last():
    mask = NM(2, 4).choose({"w": TRANSPOSED}, scores_for({"w": TRANSPOSED}, 0), keep=0)["w"]
    assert (mask.reshape(-1, 4).sum(axis=1) == 2).all()


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 99), st.sampled_from([(4, 1), (1, 4), (2, 2), (4, 4)]), st.integers(1, 24))
def test_blocks_are_kept_or_gone_as_a_whole(seed, size, blocks):
    rows, columns = size
    keep = blocks * rows * columns
    masks = Block(rows, columns).choose(WEIGHTS, scores_for(WEIGHTS, seed), keep)
    assert sum(int(mask.sum()) for mask in masks.values()) == min(keep, 384)
    for mask in masks.values():
        *front, inputs, outputs = mask.shape
        tiles = mask.reshape(*front, inputs // rows, rows, outputs // columns, columns).mean(axis=(-3, -1))
        assert np.isin(tiles, (0, 1)).all()


def test_a_blocks_score_is_its_mean():
    scores = {"w": np.array([[9.0, 1.0], [0.0, 4.0], [5.0, 5.0], [0.0, 0.0]])}  # 4x1 columns: 3.5 and 2.5
    masks = Block(4, 1).choose({"w": weight_of(L.Dense(2), (4,))}, scores, keep=4)
    assert masks["w"].tolist() == [[True, False]] * 4


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 99), st.floats(0.05, 1.0))
def test_filters_are_kept_or_gone_as_a_whole(seed, density):
    keep = round(density * 384)
    masks = Filter().choose(WEIGHTS, scores_for(WEIGHTS, seed), keep)
    for mask in masks.values():
        assert np.isin(mask.reshape(-1, mask.shape[-1]).mean(axis=0), (0, 1)).all()
    assert abs(sum(int(mask.sum()) for mask in masks.values()) - keep) <= 36 / 2  # half of the larger filter


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 99), st.integers(0, 30), st.sampled_from([Unstructured(), Block(2, 2), Filter()]))
def test_no_weight_falls_below_the_floor(seed, min_keep, structure):
    masks = structure.choose(WEIGHTS, scores_for(WEIGHTS, seed), 80, min_keep)
    assert all(mask.sum() >= min_keep for mask in masks.values())


@pytest.mark.parametrize("structure", ["block:4x4", "filter"])
def test_a_small_share_of_a_layer_empties_it_not(structure):
    model = keras.Sequential([keras.Input((8,)), L.Dense(8), L.Dense(8), L.Dense(4)])
    pruned = tf_pai.prune_at_init(model, "magnitude", 0.95, structure=structure, distribution="uniform")
    assert all(mask.any() for mask in tf_pai.get_masks(pruned).values())


def test_filters_take_their_bias_and_norm_with_them():
    layers = [L.Conv2D(6, 3, name="conv"), L.BatchNormalization(name="norm"), L.Flatten(), L.Dense(3, name="fc")]
    model = keras.Sequential([keras.Input((5, 5, 2)), *layers])
    masks = tf_pai.get_masks(tf_pai.prune_at_init(model, "magnitude", 0.5, structure="filter"))
    kept = masks["conv/kernel"].any(axis=(0, 1, 2))
    assert kept.sum() == 3 and "fc/kernel" not in masks  # an output layer keeps its channels
    for path in ("conv/bias", "norm/gamma", "norm/beta"):
        assert (masks[path] == kept).all()


@pytest.mark.parametrize(
    ("structure", "message"),
    [
        ("2:5", "2:5 needs an axis that is a multiple of 5. Received: 'fc/kernel' of shape"),
        ("block:3x1", "block:3x1 needs a kernel whose last two axes are multiples of 3 and 1. Received: 'fc/kernel'"),
        ("4:2", "N:M keeps N of each M weights, 0 < N < M. Received: 4:2"),
        ("block:0x2", "A block has at least one row and one column. Received: 0x2"),
        ("filters", r"Received: 'filters'. Did you mean 'filter'\?"),
    ],
)
def test_patterns_that_do_not_fit(structure, message):
    model = keras.Sequential([keras.Input((8,)), L.Dense(4, name="fc"), L.Dense(4)])
    with pytest.raises(ValueError, match=message):
        tf_pai.prune_at_init(model, "magnitude", structure=structure)


def test_names():
    names = ["unstructured", "filter", "2:4", "block:4x1"]
    assert [repr(structures.get(name)) for name in names] == names
    assert structures.get(NM(1, 2, axis=-1)).axis == -1
