"""Exact selection over many arrays: the count, the ties, the order."""

from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tf_pai import topk
from tf_pai.topk import keep_highest

SHAPES = hnp.array_shapes(max_dims=3, max_side=5)
# few different values, so that ties are the rule; infinities as pruned or forced weights have them
VALUES = st.sampled_from([-np.inf, -1.0, -0.0, 0.0, 0.5, 1.0, 2.0, np.inf])
SCORES = st.lists(hnp.arrays("float32", SHAPES, elements=VALUES.map(np.float32)), min_size=1, max_size=4)


@settings(deadline=None, max_examples=200)
@given(SCORES, st.data())
def test_it_is_a_stable_sort_cut_off(scores, data):
    flat = np.concatenate([s.ravel() for s in scores])
    count = data.draw(st.integers(0, len(flat)))
    masks = keep_highest(scores, count)
    assert [m.shape for m in masks] == [s.shape for s in scores]
    expected = np.zeros(len(flat), bool)
    expected[np.argsort(-flat, kind="stable")[:count]] = True
    assert (np.concatenate([m.ravel() for m in masks]) == expected).all()


@settings(deadline=None, max_examples=200)
@given(SCORES, st.data())
def test_a_sample_finds_the_same_threshold(scores, data):
    """Arrays larger than the sample take another way: here, a sample of two scores."""
    flat = np.sort(np.concatenate([s.ravel() for s in scores]))
    count = data.draw(st.integers(1, len(flat)))
    with mock.patch.object(topk, "SAMPLE", 2):
        assert topk._kth_highest(scores, count) == flat[len(flat) - count]


@pytest.mark.parametrize("frequent", [-np.inf, 0.0, 0.5, 1.0])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 1.0])
def test_large_arrays_in_which_a_score_is_frequent(frequent, share):
    generator = np.random.default_rng(0)
    scores = generator.random(60_000)
    scores[generator.random(scores.size) < share] = frequent
    ordered = np.sort(scores)
    for count in (1, 600, 30_000, 54_000, 59_999):
        got = topk._kth_highest([scores[:20_000].reshape(200, 100), scores[20_000:]], count)
        assert got == ordered[scores.size - count]


def test_ties_keep_the_lower_flat_index_in_the_order_of_the_arrays():
    masks = keep_highest([np.array([[1.0, 0.0], [1.0, 1.0]]), np.array([1.0, 2.0])], 3)
    assert masks[0].tolist() == [[True, False], [True, False]] and masks[1].tolist() == [False, True]


def test_arrays_that_are_not_contiguous():
    scores = np.arange(6.0).reshape(2, 3).T
    assert keep_highest([scores], 2)[0].tolist() == [[False, False], [False, True], [False, True]]


@pytest.mark.parametrize("count", [-1, 5])
def test_a_count_outside(count):
    with pytest.raises(ValueError, match=f"Between 0 and 4 scores can be kept. Received: count={count}"):
        keep_highest([np.zeros(4)], count)
