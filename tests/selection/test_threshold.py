"""largest_near gives what largest gives, whatever the guess."""

import numpy as np
import pytest
import tensorflow as tf

from tf_pai.callbacks.rules import largest
from tf_pai.selection.threshold import SORTED, largest_near

KINDS = {
    "distinct": lambda rng, n: rng.standard_normal(n),
    "tied": lambda rng, n: np.round(4 * rng.standard_normal(n)) / 4,
    "almost all alike": lambda rng, n: rng.random(n) < 0.01,
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [1, 3, SORTED, SORTED + 1, SORTED + 2, SORTED + 4, 2 * SORTED])
def test_same_mask_as_largest(kind, size):
    rng = np.random.default_rng(size)
    for count in {0, 1, size // 3, size - 1, size}:
        scores = KINDS[kind](rng, size).astype("float32")
        threshold, width = np.sort(scores)[size - max(count, 1)], 10.0 ** rng.uniform(-6, 0)
        guesses = [[0, 0], [np.inf, np.inf], threshold + width * np.array([-rng.random(), rng.random()])]
        for guess in guesses:
            mask, _ = largest_near(tf.constant(scores), count, tf.constant(guess, tf.float32))
            assert np.array_equal(mask.numpy() != 0, largest(scores, count).numpy())


def test_scores_that_move_are_followed():
    """The guess holds the threshold again after each step, and few scores: the search is not needed any more."""
    rng, guess = np.random.default_rng(0), np.zeros(2, "float32")
    scores = rng.standard_normal((64, 128)).astype("float32")
    inside = []
    for _ in range(20):
        mask, following = largest_near(tf.constant(scores), 2000, tf.constant(guess))
        assert np.array_equal(mask.numpy() != 0, largest(scores, 2000).numpy())
        threshold = np.sort(scores, axis=None)[-2000]
        inside.append(guess[0] < threshold <= guess[1])
        guess = following.numpy()
        assert ((scores > guess[0]) & (scores <= guess[1])).sum() < 1000
        scores += 1e-3 * rng.standard_normal(scores.shape).astype("float32")
    assert not inside[0] and np.mean(inside[1:]) > 0.8
