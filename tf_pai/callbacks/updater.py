"""One update of all masks, as a graph: rules, masks, weights, optimizer slots, and what happened."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from tf_pai.callbacks.counting import all_finite, count_true
from tf_pai.callbacks.moving import MovingWeight
from tf_pai.callbacks.sparse_moving import SparseMovingWeight
from tf_pai.callbacks.tiles import KeptState, exchange_by_tiles
from tf_pai.callbacks.weights import WeightState

KEPT, BORN, EXPLORED = 0, 1, 2  # columns of what `Updater` returns


def _graph(function: Any, eagerly: bool) -> Any:
    if eagerly:
        return function
    graph = tf.function(function, autograph=False)
    graph._omit_frequent_tracing_warning = True  # each fit is a graph of its own
    return graph


class Updater:
    """Applies the rules of a method to each of its weights, one after the other.

    Args:
        method: says which weights live (`select`), what those that come to life start from (`revived`), whether
            their optimizer slots start anew (`resets_slots`), and whether pruned weights live on
            (`keeps_dense_weights`).
        weights: the weights whose masks move.
        seed: of everything random.
        eagerly: whether to run without a graph.
        skips_as_a_whole: whether one gradient that overflowed leaves all masks as they are, as loss scaling leaves all
            weights; else each weight is on its own, and its gradient can be freed before the next one is there.

    Attributes:
        explored: the places of each weight that have ever been alive.
    """

    def __init__(
        self, method: Any, weights: list[MovingWeight], seed: int, eagerly: bool = False, skips_as_a_whole: bool = False
    ):
        self.method, self.weights, self.seed = method, weights, seed
        self.skips_as_a_whole = skips_as_a_whole
        self.explored = [weight.explored() for weight in weights]
        self._update, self._counts = _graph(self.update, eagerly), _graph(self._count, eagerly)

    def __call__(self, *plan: tf.Tensor) -> tf.Tensor:
        """Returns what `update` does, in a graph of its own; for methods that read no gradient."""
        return self._update(*plan)

    @staticmethod
    def as_tensors(step: int, keep: list[int], total: list[int]) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Returns the arguments of `update` as tensors, so that no graph is traced twice."""
        return tf.constant(step, tf.int32), tf.constant(keep, tf.int32), tf.constant(total, tf.int32)

    def update(self, step: tf.Tensor, keep: tf.Tensor, total: tf.Tensor, gradients: Any = None) -> tf.Tensor:
        """Updates all masks, in a graph; returns counts [weights, (kept, born, ever alive)]."""
        finite = None
        if gradients is not None and self.skips_as_a_whole:
            gradients = {
                weight.path: weight.gradient_of(self._gradient_of(weight, gradients)) for weight in self.weights
            }
            finite = all_finite(gradients)
        rows: list[tf.Tensor] = []
        for i, weight in enumerate(self.weights):
            trained = tf.convert_to_tensor(weight.variable.value)  # read when the optimizer is done with it
            with tf.control_dependencies([*rows[-1:], trained]):  # one by one, so that one dense gradient exists
                plan = self._gradient_of(weight, gradients), step, keep[i], total[i], self.seed
                if isinstance(weight, SparseMovingWeight) and weight.tile_rows is not None:
                    rows.append(self._move_by_tiles(KeptState(weight, *plan), self.explored[i], finite))
                else:
                    rows.append(self._move(WeightState(weight, *plan), self.explored[i], finite))
        return tf.stack(rows)

    def _gradient_of(self, weight: MovingWeight, gradients: Any) -> Any:
        if gradients is None:
            return None
        gradient = gradients.get(weight.path)  # none where the loss does not reach the weight
        return weight.no_gradient() if gradient is None else gradient

    def _move(self, state: WeightState, explored: Any, finite: tf.Tensor | None) -> tf.Tensor:
        new = self.method.select(state)
        if state.gradient is not None:  # after an overflow, gradients say nothing
            finite = all_finite(state.gradient) if finite is None else finite
            new = tf.where(finite, new, state.alive)
        going_on = new & state.alive
        if self.method.keeps_dense_weights:
            places = state.weight.move(new, None, None)
        else:
            value = tf.where(going_on, state.value, self._begun(state, new))
            places = state.weight.move(new, value, going_on if self.method.resets_slots else None)
        kept, old = (tf.cast(count_true(mask), tf.int64) for mask in (new, going_on))
        return tf.stack([kept, kept - old, explored.add(places)])

    def _begun(self, state: WeightState, alive: tf.Tensor | None = None) -> tf.Tensor:
        """What weights that come to life start from; zero where none is `alive`."""
        zero = tf.zeros([], state.value.dtype)
        revived = self.method.revived(state)
        if revived is None:  # a number for all of them, without one for each
            return zero
        return revived if alive is None else tf.where(alive, revived, zero)

    def _move_by_tiles(self, state: KeptState, explored: Any, finite: tf.Tensor | None) -> tf.Tensor:
        flat, scores = exchange_by_tiles(self.method, state)
        if state.gradient is not None:  # what overflows in a tile is among its highest
            finite = all_finite(scores) & (all_finite(state.gradient) if finite is None else finite)
            flat = tf.where(finite, flat, state.flat)
        places, was_alive = state.weight.places_of(flat, state.flat)
        values = tf.where(was_alive, tf.gather(state.value, places), self._begun(state))
        state.weight.move_to(flat, values, places, was_alive)
        born = tf.cast(count_true(~was_alive), tf.int64)
        return tf.stack([tf.size(flat, tf.int64), born, explored.add(flat)])

    def get_state(self) -> dict[str, np.ndarray]:
        """Returns the bits of what has ever been alive, and the weights' paths in their order."""
        bits = {f"ever_alive/{i}": explored.bits() for i, explored in enumerate(self.explored)}
        return {**bits, "paths": np.array([weight.path for weight in self.weights])}

    def set_state(self, state: dict[str, np.ndarray]) -> None:
        """Adds what `get_state` returned, where `state` has that of weights of the same size.

        They go by their paths; by their order where none is known: names may differ between sessions.
        """
        places = {str(path): i for i, path in enumerate(state.get("paths", []))}
        if not any(weight.path in places for weight in self.weights):
            places = {weight.path: i for i, weight in enumerate(self.weights)}
        for weight, explored in zip(self.weights, self.explored, strict=True):
            bits = state.get(f"ever_alive/{places.get(weight.path)}")
            if bits is not None and bits.size == -(-weight.size // 8):
                explored.add_bits(bits)

    def counts(self) -> list[int]:
        """Returns how many places of each weight are alive."""
        return np.asarray(self._counts()).tolist()

    def _count(self) -> tf.Tensor:
        return tf.stack([weight.count() for weight in self.weights])
