"""The largest of many scores: exact, in a graph, and without a copy of them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from tf_pai import kernels
from tf_pai.callbacks.counting import count_true

BLOCK = 2**20  # scores that are looked at at once


def largest(scores: Any, count: Any, among: Any = None) -> tf.Tensor:
    """Returns a boolean mask of the `count` highest scores; of equal ones, those of lower flat index.

    Exact, in a graph, without sorting: counts of the leading bits of the scores, and then of the next ones of those
    that are left, find the threshold. Takes memory for two more masks, and for `BLOCK` scores; where kernels are built,
    for those scores that a sample says to be near the threshold.

    Args:
        scores: float tensor of any shape, without NaN; compared as float32.
        count: number or integer tensor; all scores that are meant where these are fewer.
        among: boolean tensor of that size, which scores are meant. None: all.

    Example:
        >>> largest([3.0, 1.0, 2.0, 2.0], 2).numpy().tolist()
        [True, False, True, False]
        >>> largest([3.0, 1.0, 2.0, 2.0], 2, among=[False, True, True, True]).numpy().tolist()
        [False, False, True, True]
    """
    scores = tf.cast(tf.convert_to_tensor(scores), tf.float32)
    shape = tf.shape(scores)
    among = tf.fill(shape, True) if among is None else tf.reshape(tf.cast(among, tf.bool), shape)
    count = tf.maximum(tf.cast(count, tf.int32), 0)
    if kernels.built():  # they are not built for this
        return kernels.largest(scores, among, count)
    size = scores.shape.num_elements()
    find = _of_blocks if size is None or size > BLOCK else _of_one_block
    count = tf.minimum(count, count_true(among))
    return tf.reshape(find(tf.reshape(scores, [-1]), tf.reshape(among, [-1]), count), shape)


def _largest_of_flat(over: Any, digits: Any, scores: tf.Tensor, among: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
    """Does what `largest` does.

    Args:
        over: how all scores are seen, `_at_once` or `_in_blocks`.
        digits: bits of the parts in which 32 bits are counted.
        scores: a vector.
        among: a vector.
        count: a scalar.
    """
    over = functools.partial(over, scores, among)
    key, equals = _kth_key(over, digits, count)

    def mark(block: tf.Tensor, keys: tf.Tensor, left: tf.Tensor, marks: tf.TensorArray) -> Any:
        places = tf.where(tf.equal(keys, key))[:left]  # in ascending order
        first = tf.scatter_nd(places, tf.ones_like(places[:, 0], tf.bool), tf.shape(keys, tf.int64))
        return left - tf.size(places), marks.write(tf.cast(block, tf.int32), (keys > key) | first)

    marks = tf.TensorArray(tf.bool, 0, dynamic_size=True, infer_shape=False, element_shape=[None])
    return over(mark, equals, marks)[1].concat()


def _at_once(scores: tf.Tensor, among: tf.Tensor, see: Callable[..., Any], *state: Any) -> Any:
    """Returns `see(0, keys, *state)`."""
    return see(0, tf.where(among, _ordered_keys(scores), tf.int32.min), *state)


def _in_blocks(scores: tf.Tensor, among: tf.Tensor, see: Callable[..., Any], *state: Any) -> Any:
    """Returns the state after `state = see(block, keys, *state)` for each block of scores in turn."""

    def body(block: tf.Tensor, *state: Any) -> tuple[Any, ...]:
        part = slice(block * BLOCK, (block + 1) * BLOCK)
        keys = tf.where(among[part], _ordered_keys(scores[part]), tf.int32.min)
        return block + 1, *see(block, keys, *state)

    is_within = lambda block, *_: (block < 1) | (block * BLOCK < tf.size(scores, tf.int64))  # noqa: E731
    return tf.while_loop(is_within, body, (tf.constant(0, tf.int64), *state), parallel_iterations=1)[1:]


def _graph(over: Any, digits: tuple[int, ...]) -> Any:
    flat = [tf.TensorSpec([None], tf.float32), tf.TensorSpec([None], tf.bool), tf.TensorSpec([], tf.int32)]
    options: Any = {"autograph": False, "experimental_attributes": {"_noinline": True}}  # traced and optimized once
    return tf.function(functools.partial(_largest_of_flat, over, digits), input_signature=flat, **options)


_of_one_block, _of_blocks = _graph(_at_once, (11, 11, 10)), _graph(_in_blocks, (16, 16))


def _ordered_keys(scores: tf.Tensor) -> tf.Tensor:
    """Integers in the order of the floats: the bits, those of negative numbers turned around so that -0.0 is 0.0."""
    bits = tf.bitcast(scores, tf.int32)
    sign = tf.bitwise.right_shift(bits, 31)  # 0, or -1 for negative numbers
    return tf.bitwise.bitwise_xor(bits, tf.bitwise.bitwise_and(sign, 0x7FFFFFFF)) - sign


def _kth_key(over: Any, digits: tuple[int, ...], count: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns (the `count`-th highest key, how many of that key are among the `count` highest), digit by digit.

    The key is the highest possible one for `count` 0.
    """
    key, shift = tf.constant(0, tf.int32), 32
    for bits in digits:
        bins, shift = 2**bits, shift - bits
        lowest = key * bins - (bins // 2 if shift + bits == 32 else 0)  # the first digit has the sign

        def see(block: tf.Tensor, keys: tf.Tensor, counts: tf.Tensor) -> tuple[tf.Tensor]:
            digits = tf.bitwise.right_shift(keys, shift) - lowest  # noqa: B023
            digits = tf.minimum(tf.bitcast(digits, tf.uint32), counts.shape[0])  # too high with other leading digits
            weights = tf.zeros([0], tf.int32)
            return (
                counts + tf.raw_ops.Bincount(arr=tf.bitcast(digits, tf.int32), size=counts.shape[0], weights=weights),
            )

        (counts,) = over(see, tf.zeros([bins], tf.int32))
        at_least = tf.cumsum(counts, reverse=True)
        digit = count_true(at_least >= count) - 1  # the highest that has `count` in it and above
        key, count = lowest + digit, count - (at_least[digit] - counts[digit])
    return key, count
