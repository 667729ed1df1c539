"""Weights of few bits, for searches in low precision."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import tensorflow as tf

from tf_pai.layers import prunable_weights
from tf_pai.tickets.bench import Bench


class Rounded:
    """Rounds a weight to `bits` bits after each update, stochastically, after its own constraint.

    Values are multiples of max|w| / (2^(bits-1) - 1); each goes up with the probability that keeps its mean.

    Args:
        bits: 2 or more.
        seed: of the rounding.
        step: variable that counts the updates.
        own: the weight's own constraint, or None.

    Example:
        >>> import tensorflow as tf
        >>> w = tf.constant([-1.0, 0.3, 1.0])
        >>> values = Rounded(2, 0, tf.Variable(0))(w).numpy()
        >>> sorted(set(values.tolist()) | {0.0})
        [-1.0, 0.0, 1.0]

    Reference: Yang et al. 2019, "SWALP: stochastic weight averaging in low-precision training", section 3.1.
    """

    def __init__(self, bits: int, seed: int, step: Any, own: Callable[[Any], Any] | None = None):
        if isinstance(bits, bool) or not isinstance(bits, int) or bits < 2:
            raise ValueError(f"Weights have 2 bits or more. Received: bits={bits!r}.")
        self.levels, self.seed, self.step, self.own = 2 ** (bits - 1) - 1, seed, step, own

    def __call__(self, weight: Any) -> Any:
        """Returns the rounded weight."""
        value = tf.convert_to_tensor(weight if self.own is None else self.own(weight))
        unit = tf.reduce_max(tf.abs(value)) / self.levels
        seeds = tf.stack([tf.cast(self.seed, tf.int64), tf.cast(tf.convert_to_tensor(self.step), tf.int64)])
        chance = tf.random.stateless_uniform(tf.shape(value), seeds, dtype=value.dtype)
        return tf.math.multiply_no_nan(tf.floor(tf.math.divide_no_nan(value, unit) + chance), unit)


@contextlib.contextmanager
def rounded(bench: Bench, bits: int | None, seed: int) -> Iterator[None]:
    """Keeps the kernels of the bench's model in `bits` bits inside the block; None: as they are."""
    if bits is None:
        yield
        return
    weights = list(prunable_weights(bench.model).values())
    before = [weight.variable.constraint for weight in weights]
    for place, (weight, own) in enumerate(zip(weights, before, strict=True)):
        weight.variable.constraint = Rounded(bits, seed + place, bench.model.optimizer.iterations, own)
    bench.model.make_train_function(force=True)
    try:
        yield
    finally:
        for weight, own in zip(weights, before, strict=True):
            weight.variable.constraint = own
        bench.model.make_train_function(force=True)
