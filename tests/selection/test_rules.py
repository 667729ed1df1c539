"""The papers' rules on small arrays, against their formulas."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tf_pai.layers import prunable_weights
from tf_pai.selection import Deconstruct, Hidden, MultiPrize, SupSup, act_on_pruned, mask_by


def kernel(inputs=8, outputs=4):
    layer = keras.layers.Dense(outputs)
    layer.build((None, inputs))
    (weight,) = prunable_weights(layer).values()
    return weight


def test_ties_keep_the_lower_index():
    mask = Hidden().mask(kernel(2, 2), tf.constant([[-1.0, 1.0], [1.0, 1.0]]), 3, "unstructured")
    assert mask.numpy().tolist() == [[True, True], [True, False]]


@pytest.mark.parametrize("rule", [Hidden(), MultiPrize()])
def test_gradient_is_that_of_edge_popup(rule):
    rng = np.random.default_rng(0)
    w, s, x = (tf.constant(rng.standard_normal((4, 4)), tf.float32) for _ in range(3))
    mask = tf.constant(rng.integers(0, 2, (4, 4)), tf.float32)
    with tf.GradientTape() as tape:
        tape.watch([w, s])
        loss = tf.reduce_sum(rule.effective(w, s, mask) * x)
    to_w, to_s = tape.gradient(loss, [w, s])
    assert to_w is None
    assert np.allclose(to_s, x * w * tf.sign(s))


def test_supsup_keeps_the_highest_scores_and_not_magnitudes():
    """Scores [[-9, 1], [2, -1]]: the two highest are 2 and 1; the gradient is x * w, whatever a score's sign."""
    s, w, x = tf.constant([[-9.0, 1.0], [2.0, -1.0]]), tf.constant([[2.0, 3.0], [5.0, 7.0]]), tf.constant([[1.0, -1.0]])
    rule = SupSup()
    mask = rule.mask(kernel(2, 2), s, 2, "unstructured")
    assert mask.numpy().tolist() == [[0, 1], [1, 0]]
    with tf.GradientTape() as tape:
        tape.watch([s, mask])
        loss = tf.reduce_sum(rule.effective(w, s, mask) * x)
    assert [g.numpy().tolist() for g in tape.gradient(loss, [s, mask])] == 2 * [[[2, -3], [5, -7]]]


@pytest.mark.parametrize("rule", [Hidden(), SupSup(), Deconstruct()])
def test_scores_of_a_mask_mean_it(rule):
    weight, rng = kernel(16, 8), np.random.default_rng(0)
    mask = rng.random((16, 8)) < 0.3
    scores = rule.scores_of(mask, weight, rule.first_scores(weight, 64, rng))
    assert np.array_equal(rule.mask(weight, tf.constant(scores), int(mask.sum()), "unstructured") != 0, mask)


def test_biprop_scales_the_signs_by_the_mean_magnitude_of_what_is_kept():
    w, mask = tf.constant([1.0, -3.0, 5.0]), tf.constant([1.0, 1.0, 0.0])
    assert MultiPrize().effective(w, tf.ones(3), mask).numpy().tolist() == [2.0, -2.0, 0.0]


def test_supermasks_are_drawn_in_training_and_rescaled():
    rule, w = Deconstruct(), tf.ones(10_000)
    drawn = rule.effective(w, tf.fill([10_000], -1.0), tf.zeros(10_000), seed=[0, 1]).numpy()
    share = (drawn != 0).mean()
    assert share == pytest.approx(1 / (1 + np.e), abs=0.02)
    assert drawn.sum() == pytest.approx(10_000, rel=1e-4)
    again = rule.effective(w, tf.fill([10_000], -1.0), tf.zeros(10_000), seed=[0, 2]).numpy()
    assert (again != drawn).any()


def test_the_gradient_of_a_drawn_mask_is_that_of_its_probability():
    rule, s = Deconstruct(rescale=False), tf.constant([-1.0, 0.5])
    with tf.GradientTape() as tape:
        tape.watch(s)
        loss = tf.reduce_sum(rule.effective(tf.constant([2.0, 3.0]), s, tf.zeros(2), seed=[0, 1]))
    p = tf.sigmoid(s)
    assert np.allclose(tape.gradient(loss, s), [2.0, 3.0] * p * (1 - p))


def test_the_mask_of_a_supermask_is_a_draw_of_the_expected_number():
    scores = np.random.default_rng(0).normal(0, 2, (80, 100)).astype("float32")
    masks = [
        Deconstruct().mask(kernel(80, 100), tf.constant(scores), 1, "unstructured", (seed, 0)).numpy()
        for seed in (0, 0, 1)
    ]
    p = 1 / (1 + np.exp(-scores))
    assert [mask.sum() for mask in masks] == [round(float(p.sum()))] * 3
    assert np.array_equal(masks[0], masks[1]) and not np.array_equal(masks[0], masks[2])
    for low in (0.1, 0.4, 0.8):
        some = (p > low) & (p < low + 0.1)
        assert masks[0][some].mean() == pytest.approx(low + 0.05, abs=0.06)


def test_initial_scores_of_a_supermask_mean_k():
    scores = Deconstruct().first_scores(kernel(), 8, np.random.default_rng(0))
    assert np.allclose(tf.sigmoid(scores), 0.25, atol=1e-3)


def test_pruned_weights_that_moved_towards_zero_are_frozen_there():
    initial, final = np.array([1.0, -1.0, 1.0]), np.array([0.5, -2.0, 0.1])
    assert act_on_pruned(initial, final, np.array([False, False, True])).tolist() == [0.0, -1.0, 1.0]


def test_mask_by_refuses():
    w = np.ones(3)
    with pytest.raises(ValueError, match="Did you mean 'large_final'"):
        mask_by("large_finals", w, w, 0.5)
    with pytest.raises(ValueError, match=r"\(0, 1\], the fraction kept. Received: density=0"):
        mask_by("large_final", w, w, 0)
    with pytest.raises(ValueError, match="weight's shape"):
        mask_by("large_final", w, np.ones(4), 0.5)
