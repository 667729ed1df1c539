import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tf_pai import kernels
from tf_pai.callbacks import largest as module
from tf_pai.callbacks.largest import count_true, largest


def by_sorting(scores, count, among=None):
    scores = np.asarray(scores)
    among = np.full(scores.size, True) if among is None else np.ravel(among)
    mask = np.zeros(scores.size, bool)
    mask[np.lexsort((np.arange(scores.size), -scores.ravel(), ~among))[:count]] = True
    return (mask & among).reshape(scores.shape)


@pytest.fixture(params=["natively", "at once", "in blocks"])
def find(request, monkeypatch):
    """Finds the largest in one of three ways; blocks are so small that a thousand scores are many of them."""
    if request.param == "natively" and not kernels.available():
        pytest.skip("the kernels cannot be built here")
    monkeypatch.setattr(module.kernels, "built", lambda: request.param == "natively")
    if request.param == "in blocks":
        monkeypatch.setattr(module, "BLOCK", 127)
        graph = module._graph(module._in_blocks, (16, 16))
        monkeypatch.setattr(module, "_of_one_block", graph)
        monkeypatch.setattr(module, "_of_blocks", graph)
    return largest


@pytest.mark.parametrize("scale", [None, 0, 1, 10])
@pytest.mark.parametrize("size", [1, 2, 7, 1000, 70_000, 2**20 + 3])
def test_is_what_sorting_gives_ties_to_the_lower_index(size, scale):
    scores = np.random.default_rng(size).standard_normal(size).astype("float32")
    scores = scores if scale is None else np.round(scores * scale)
    graph = tf.function(largest)
    for count in {0, 1, size // 3, size}:
        got = graph(tf.constant(scores), tf.constant(count)).numpy()
        assert (got == by_sorting(scores, count)).all()


@pytest.mark.parametrize("size", [0, 1, 3, 4, 1000, 40_000])
def test_each_way_finds_the_same(find, size):
    generator = np.random.default_rng(size)
    scores, among = np.round(generator.standard_normal(size) * 3).astype("float32"), generator.random(size) < 0.4
    for count in {0, min(1, size), size // 3, size}:
        assert (find(scores, count).numpy() == by_sorting(scores, count)).all()
        assert (find(scores, count, among).numpy() == by_sorting(scores, count, among)).all()


def test_extremes_are_ordered(find):
    scores = np.array([-np.inf, 1e-45, 0.0, -0.0, -1e-45, np.inf, 3.4e38, -3.4e38], "float32")
    assert find(scores, 4).numpy().tolist() == [False, True, True, False, False, True, True, False]
    assert find(scores, 5).numpy().tolist() == [False, True, True, True, False, True, True, False]


def test_the_lowest_number_comes_before_minus_infinity(find):
    assert find([-np.inf, np.finfo("float32").min], 1).numpy().tolist() == [False, True]


def test_others_are_not_found_not_even_before_minus_infinity(find):
    among = [False, True, True, False]
    assert find([9.0, -np.inf, 1.0, 9.0], 2, among).numpy().tolist() == [False, True, True, False]
    assert find([9.0, -np.inf, 1.0, 9.0], 3, among).numpy().tolist() == [False, True, True, False]


@pytest.mark.parametrize("share", [0.5, 0.9, 1.0])
def test_many_equal_scores_are_taken_from_the_first_on(find, share):
    generator = np.random.default_rng(0)
    scores = np.where(generator.random(40_000) < share, 0, generator.random(40_000)).astype("float32")
    for count in (100, 4_000, 25_000):
        assert (find(scores, count).numpy() == by_sorting(scores, count)).all()


def test_a_sample_that_misleads_changes_nothing(find):
    scores = np.full(40_960, 0.5, "float32") - np.arange(40_960) / 1e7
    scores[::10] = np.random.default_rng(0).random(4_096)  # what a sample of 4,096 sees
    for count in (1_000, 20_000):
        assert (find(scores, count).numpy() == by_sorting(scores, count)).all()


def test_another_shape_and_a_negative_count_are_taken_in_each_way(find):
    among = [[True, False], [True, True]]
    assert find([1.0, 2.0, 3.0, 4.0], 2, among).numpy().tolist() == [False, False, True, True]
    assert not find([1.0, 2.0], -1).numpy().any()


@pytest.mark.skipif(not kernels.available(), reason="the kernels cannot be built here")
def test_the_kernel_refuses_a_negative_count_and_another_shape():
    with pytest.raises(tf.errors.InvalidArgumentError, match="count must not be negative, as is -1"):
        kernels.largest([1.0, 2.0], [True, True], -1)
    with pytest.raises(tf.errors.InvalidArgumentError, match="count must be a number"):
        kernels.largest([1.0, 2.0], [True, True], [1])
    with pytest.raises(tf.errors.InvalidArgumentError, match="among must have the scores' shape"):
        kernels.largest([1.0, 2.0], [True], 1)


def test_keeps_the_shape_and_takes_half_precision(find):
    scores = tf.constant([[1.0, 3.0], [2.0, 0.0]], tf.bfloat16)
    assert find(scores, 2).numpy().tolist() == [[False, True], [True, False]]


def test_of_a_shape_that_a_graph_does_not_know():
    graph = tf.function(largest, input_signature=[tf.TensorSpec([None, None]), tf.TensorSpec([], tf.int32)])
    assert graph(np.zeros((0, 2), "float32"), 0).shape == (0, 2)
    assert graph(np.array([[1, 3], [2, 0]], "float32"), 2).numpy().tolist() == [[False, True], [True, False]]


@settings(max_examples=50, deadline=None)
@given(arrays(bool, st.lists(st.integers(0, 9), min_size=0, max_size=3).map(tuple)))
def test_counts(mask):
    assert int(count_true(mask)) == mask.sum()


def test_takes_less_memory_than_another_copy_of_the_scores():
    code = """
import tensorflow as tf
from experiments.timing import peak_megabytes
from tf_pai.callbacks.largest import largest
few, scores = tf.random.normal([2**20 + 1]), tf.random.normal([2**25])  # 128 MB
largest(few, 9)  # traces
before = peak_megabytes()
largest(scores, 2**22)
print(peak_megabytes() - before)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert float(done.stdout) < 128
