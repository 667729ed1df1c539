import numpy as np
import pytest
import tensorflow as tf

from tf_pai.kernels import library, zero_pruned

pytestmark = pytest.mark.usefixtures("built")


def case(*shape, seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal(shape).astype("f4"), (rng.random(shape) < 0.4).astype("f4")


@pytest.mark.parametrize("shape", [(), (1,), (31,), (32,), (33,), (3, 3, 5, 7), (0, 4), (517, 389)])
def test_pruned_weights_become_zero_and_kept_ones_keep_their_bits(shape):
    weights, mask = case(*shape)
    weights = np.where(np.abs(weights) < 0.1, np.float32(-0.0), weights)
    weights = np.where(weights > 1, np.float32(np.nan), weights)
    variable = tf.Variable(weights)
    zero_pruned(variable, mask)
    np.testing.assert_array_equal(variable.numpy().view("u4"), np.where(mask == 0, 0, weights.view("u4")))


def test_who_has_read_the_variable_keeps_what_it_was():
    weights, mask = case(40)
    variable = tf.Variable(weights)
    before = tf.identity(variable.read_value())
    zero_pruned(variable, mask)
    np.testing.assert_array_equal(before, weights)
    np.testing.assert_array_equal(variable, weights * mask)


@pytest.mark.parametrize("write", ["assign", "assign_add", "scatter_nd_update"])
def test_a_mask_that_moves_is_seen_at_once(write):
    """The mask is packed once per place in the graph, and again after each kind of write to it."""
    weights, mask = case(100)
    variable, held = tf.Variable(weights), tf.Variable(mask)

    @tf.function
    def step():
        variable.assign(weights)
        zero_pruned(variable, held.value())

    for seed in range(4):
        moved = case(100, seed=seed)[1]
        change = moved - held.numpy()
        if write == "assign":
            held.assign(moved)
        elif write == "assign_add":
            held.assign_add(change)
        else:
            places = np.flatnonzero(change)[:, None]
            held.scatter_nd_update(places, moved[places[:, 0]])
        step()
        step()
        np.testing.assert_array_equal(variable, weights * moved)


def test_a_variable_that_does_not_fit_is_refused():
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"float32 and have the mask's shape \[3\]"):
        zero_pruned(tf.Variable(tf.zeros([2])), np.ones(3, "f4"))
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"float32 and have the mask's shape \[2\]"):
        zero_pruned(tf.Variable(tf.zeros([2], tf.float64)), np.ones(2, "f4"))


def test_what_was_built_is_known_without_building(monkeypatch, tmp_path):
    assert library.built()
    monkeypatch.setattr(library, "_loaded", None)
    library._in_cache.cache_clear()
    monkeypatch.setenv("TF_PAI_CACHE", str(tmp_path))
    assert not library.built() and list(tmp_path.iterdir()) == []
    library._in_cache.cache_clear()
