"""An update of a sparse layer that is too big to exist densely."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from tf_pai.callbacks import rules
from tf_pai.callbacks.largest import largest
from tf_pai.callbacks.sparse_moving import SparseMovingWeight, put
from tf_pai.callbacks.weights import WeightState


class KeptState(WeightState):
    """The kept values of a sparse layer alone, as a rule for what is dropped sees them.

    Attributes:
        flat: their rising row-major positions.
    """

    weight: SparseMovingWeight

    def __init__(self, weight: SparseMovingWeight, gradient: Any, step: Any, keep: Any, total: Any, seed: int):
        alive = tf.ones([weight.layer.nnz], tf.bool)
        super().__init__(weight, gradient, step, keep, total, seed, value=weight.kept(), alive=alive)
        self.flat = weight.layer.flat_positions()


class TileState(WeightState):
    """Some rows of a sparse layer as a vector, as a rule for what comes to life sees them.

    Args:
        whole: the layer's state.
        begin: the first of the rows, an int32 tensor; random numbers are others than those of the layer as a whole.
        rows: how many.
    """

    def __init__(self, whole: KeptState, begin: tf.Tensor, rows: int):
        weight, cols = whole.weight, whole.weight.layer.matrix_shape[1]
        self.begin, self.offset = begin, tf.cast(begin, tf.int64) * cols
        gradient = None if whole.gradient is None else weight.gradient_rows(whole.gradient, begin, rows, whole.flat)
        zeros = tf.zeros([rows * cols], whole.value.dtype)
        value = put(zeros, self.offset, whole.flat, whole.value)
        alive = put(tf.zeros(zeros.shape, tf.bool), self.offset, whole.flat, whole.alive)
        super().__init__(weight, gradient, whole.step, whole.keep, whole.total, whole.seed, value=value, alive=alive)

    def _seed(self, stream: Any) -> tf.Tensor:
        return tf.random.experimental.stateless_fold_in(super()._seed(f"{stream} of rows"), self.begin)


def exchange_by_tiles(method: Any, state: KeptState) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns (the rising row-major positions of what is alive after an update, as many as before, scores of the new).

    Args:
        method: its rules `drop` and `grow_score` see the kept values, and tile after tile.
        state: before the update.
    """
    kept = tf.boolean_mask(state.flat, method.drop(state))
    count = state.total - tf.size(kept)
    rows = state.weight.layer.matrix_shape[0]
    step = state.weight.tile_rows or rows

    def best_with(begin: tf.Tensor, rows: int, best: tf.Tensor, place: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        tile = TileState(state, begin, rows)
        scores = tf.cast(method.grow_score(tile), tf.float32)
        free = put(tf.fill(tf.shape(scores), True), tile.offset, kept, tf.zeros_like(kept, tf.bool))
        new = tf.where(rules.drop(scores, free, count))[:, 0]
        return _best(tf.concat([best, tf.gather(scores, new)], 0), tf.concat([place, new + tile.offset], 0), count)

    _, best, place = tf.while_loop(  # one graph for all tiles, and one tile after the other
        lambda begin, best, place: begin + step <= rows,
        lambda begin, best, place: (begin + step, *best_with(begin, step, best, place)),
        (tf.constant(0), tf.zeros([0], tf.float32), tf.zeros([0], tf.int64)),
        shape_invariants=(tf.TensorShape([]), tf.TensorShape([None]), tf.TensorShape([None])),
        parallel_iterations=1,
    )
    if rows % step:
        best, place = best_with(tf.constant(rows - rows % step), rows % step, best, place)
    return _merged(kept, place), best


def _best(scores: tf.Tensor, place: tf.Tensor, count: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The `count` highest scores, and their positions; of equal ones, those of lower position."""
    chosen = tf.where(largest(scores, count))[:, 0]
    return tf.gather(scores, chosen), tf.gather(place, chosen)


def _merged(one: tf.Tensor, other: tf.Tensor) -> tf.Tensor:
    """Two rising vectors without a common element as one, faster than by sorting."""
    places = [
        tf.range(tf.size(a, tf.int64)) + tf.searchsorted(b, a, out_type=tf.int64)
        for a, b in ((one, other), (other, one))
    ]
    places, values = tf.concat(places, 0), tf.concat([one, other], 0)
    return tf.scatter_nd(places[:, None], values, tf.shape(values, tf.int64))
