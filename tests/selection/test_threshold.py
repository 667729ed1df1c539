"""largest_near gives what largest gives, whatever the guess, with the native kernels and without."""

import numpy as np
import pytest
import tensorflow as tf

from tf_pai import kernels
from tf_pai.callbacks.rules import largest
from tf_pai.selection.threshold import SORTED, largest_near

KINDS = {
    "distinct": lambda rng, n: rng.standard_normal(n),
    "tied": lambda rng, n: np.round(4 * rng.standard_normal(n)) / 4,
    "almost all alike": lambda rng, n: rng.random(n) < 0.01,
}


@pytest.fixture(params=["native", "own operations"])
def how(request, monkeypatch):
    if request.param == "own operations":
        monkeypatch.setattr(kernels, "available", lambda: False)
    elif not kernels.available():
        pytest.skip(kernels.reason())


@pytest.mark.usefixtures("how")
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
            mask, _ = largest_near(tf.constant(scores), count, tf.constant(guess, tf.float32), magnitudes=True)
            assert np.array_equal(mask.numpy() != 0, largest(np.abs(scores), count).numpy())


@pytest.mark.usefixtures("how")
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


def test_the_native_kernel_is_safe_with_nan_infinity_and_wrong_counts():
    if not kernels.available():
        pytest.skip(kernels.reason())
    scores = np.random.default_rng(0).standard_normal(5000).astype("float32")
    scores[::3], scores[1::7], scores[2::9] = np.nan, np.inf, -np.inf
    for guess in ([0.0, 0.0], [np.nan, np.nan], [-np.inf, np.inf], [1.0, -1.0]):
        for count in (0, 1, 2500, 5000):
            assert float(tf.reduce_sum(kernels.highest_near(scores, count, guess)[0])) == count
    for count in (-1, 5001):
        with pytest.raises(tf.errors.InvalidArgumentError, match="count must be from 0 to 5000"):
            kernels.highest_near(scores, count, [0.0, 0.0])
    assert kernels.highest_near(np.zeros((0, 3), "float32"), 0, [1.0, 2.0])[1].numpy().tolist() == [1.0, 2.0]
