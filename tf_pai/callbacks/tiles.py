"""An update of a sparse layer that is too big to exist densely."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import tensorflow as tf

from tf_pai.callbacks import rules
from tf_pai.callbacks.sparse_moving import SparseMovingWeight, put
from tf_pai.callbacks.weights import WeightState


class KeptState(WeightState):
    """The kept values of a sparse layer alone, as a rule for what is dropped sees them."""

    weight: SparseMovingWeight

    def __init__(self, weight: SparseMovingWeight, gradient: Any, step: Any, keep: Any, total: Any, seed: int):
        alive = tf.ones([weight.layer.nnz], tf.bool)
        super().__init__(weight, gradient, step, keep, total, seed, value=weight.kept(), alive=alive)


class TileState(WeightState):
    """Some rows of a sparse layer as a vector, as a rule for what comes to life sees them.

    Args:
        whole: the layer's state.
        begin, end: which rows; random numbers are others than those of the layer as a whole.
    """

    def __init__(self, whole: KeptState, begin: int, end: int):
        weight, cols = whole.weight, whole.weight.layer.matrix_shape[1]
        self.begin, self.offset = begin, begin * cols
        gradient = None if whole.gradient is None else weight.gradient_rows(whole.gradient, begin, end)
        flat, zeros = weight.layer.flat_positions(), tf.zeros([(end - begin) * cols], whole.value.dtype)
        value = put(zeros, self.offset, flat, whole.value)
        alive = put(tf.zeros(zeros.shape, tf.bool), self.offset, flat, whole.alive)
        super().__init__(weight, gradient, whole.step, whole.keep, whole.total, whole.seed, value=value, alive=alive)

    def _seed(self, stream: Any) -> tuple[int, Any]:
        return super()._seed(f"{stream} from row {self.begin}")


def exchange_by_tiles(method: Any, state: KeptState) -> tf.Tensor:
    """Returns the rising row-major positions of what is alive after an update, as many as before.

    Args:
        method: its rules `drop` and `grow_score` see the kept values, and tile after tile.
        state: before the update.
    """
    kept = tf.boolean_mask(state.weight.layer.flat_positions(), method.drop(state))
    count = state.total - tf.size(kept)
    place = tf.zeros([0], tf.int64)
    best = tf.zeros([0], tf.float32)
    for begin, end in _tiles(state.weight):
        with tf.control_dependencies([best]):  # one tile after the other
            tile = TileState(state, begin, end)
            scores = tf.cast(method.grow_score(tile), tf.float32)
            scores = put(scores, tile.offset, kept, tf.fill(tf.shape(kept), -float("inf")))
            best, place = _best(best, place, scores, tile.offset, count)
    return tf.sort(tf.concat([kept, place], 0))


def _tiles(weight: SparseMovingWeight) -> Iterator[tuple[int, int]]:
    rows, step = weight.layer.matrix_shape[0], weight.tile_rows or weight.layer.matrix_shape[0]
    return ((begin, min(begin + step, rows)) for begin in range(0, rows, step))


def _best(
    best: tf.Tensor, place: tf.Tensor, scores: tf.Tensor, offset: int, count: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """The `count` highest scores so far, and their positions; of equal ones, those of lower position."""
    known = tf.size(best, tf.int64)
    scores = tf.concat([best, scores], 0)
    chosen = tf.where(rules.largest(scores, tf.minimum(count, tf.size(scores))))[:, 0]
    is_known = chosen < known
    earlier = tf.boolean_mask(chosen, is_known)
    places = tf.concat([tf.gather(place, earlier), tf.boolean_mask(chosen, ~is_known) - known + offset], 0)
    return tf.gather(scores, chosen), places
