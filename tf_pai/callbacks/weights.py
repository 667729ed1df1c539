"""The weights whose masks move, and how one of them looks to a rule at an update."""

from __future__ import annotations

import zlib
from typing import Any

import keras
import tensorflow as tf

from tf_pai.callbacks import rules
from tf_pai.callbacks.moving import MovingWeight
from tf_pai.callbacks.slots import momentum_of, slots_of
from tf_pai.callbacks.sparse_moving import SparseMovingWeight
from tf_pai.layers import SparseMask, held_masks, prunable_layers


def moving_weights(model: keras.Model, optimizer: Any = None, tile: int | None = None) -> list[MovingWeight]:
    """Returns the weights with a mask, in model order.

    Masks of weights that are not trained stay where they are, as do those of biases that follow a filter.

    Args:
        model: a pruned model.
        optimizer: a built optimizer, or None.
        tile: how many weights of a sparse layer may exist densely at once; None: all.
    """
    homes = {
        id(weight): (mask, layer, inner)
        for layer in prunable_layers(model).values()
        for inner, (weight, mask) in layer.pairs.items()
    }
    found: list[MovingWeight] = []
    initial: dict[int, dict[str, float]] = {}
    for path, held in held_masks(model).items():
        weight = held.weight
        if len(held.shape) >= 2 and weight.trainable:
            slots = () if optimizer is None else tuple(slots_of(optimizer, weight, initial))
            if isinstance(held, SparseMask):
                found.append(SparseMovingWeight(len(found), path, weight, None, held.layer, "kernel", slots, tile))
            else:
                found.append(MovingWeight(len(found), path, weight, *homes[id(weight)], slots))
    return found


class WeightState:
    """One weight at one update, as the rules of a method see it; all tensors, in a graph.

    Args:
        weight: the weight.
        gradient: what the weight's `gradient_of` makes its dense gradient of, or None where the method reads none.
        step: the step that has just been taken, an integer tensor.
        keep: how many of the weights alive the method's plan keeps, an integer tensor.
        total: how many the plan wants alive after the update, an integer tensor.
        seed: of the method's random numbers.
        value: default: the weight's.
        alive: default: the weight's.

    Attributes:
        value: the weight; at pruned places 0, or what lives on there in the background.
        alive: boolean mask before the update; what a rule takes out of it begins anew where it comes back.
    """

    def __init__(
        self,
        weight: MovingWeight,
        gradient: Any,
        step: Any,
        keep: Any,
        total: Any,
        seed: int,
        value: Any = None,
        alive: Any = None,
    ):
        self.weight, self._gradient, self.step, self.keep, self.total = weight, gradient, step, keep, total
        self.seed = seed
        self._made: dict[int, Any] = {}
        self.value = weight.value() if value is None else value
        self.alive = weight.alive() if alive is None else alive

    @property
    def gradient(self) -> Any:
        """dL/dw, or None where the method reads none; a sparse layer's is made when it is first asked for."""
        graph = id(tf.compat.v1.get_default_graph())  # what a branch or a loop makes stays in it
        if graph not in self._made and self._gradient is not None:
            self._made[graph] = self.weight.gradient_of(self._gradient)
        return self._made.get(graph)

    def magnitude(self) -> tf.Tensor:
        """Returns |w|."""
        return tf.abs(self.value)

    def gradient_size(self) -> tf.Tensor:
        """Returns |dL/dw| of the current batch, for weights that are pruned as well."""
        return tf.abs(self.gradient)

    def momentum_size(self) -> tf.Tensor | None:
        """Returns the size of the optimizer's momentum (Adam's divided by sqrt(v)), or None where it has none."""
        first, second = momentum_of(list(self.weight.slots))
        if first is None:
            return None
        if second is None:
            return tf.abs(tf.convert_to_tensor(first.value))
        return tf.abs(first.value) / (tf.sqrt(tf.convert_to_tensor(second.value)) + 1e-8)

    @classmethod
    def now(cls, weight: MovingWeight) -> WeightState:
        """Returns a weight as it is, outside of any update."""
        return cls(weight, None, 0, 0, 0, 0)

    def normal(self) -> tf.Tensor:
        """Returns standard-normal random numbers of the weight's shape, from the same seeds as `random`."""
        return tf.random.stateless_normal(self.value.shape, self._seed("normal"))

    def random(self, stream: int = 0) -> tf.Tensor:
        """Returns uniform random numbers of the weight's shape, a function of seed, weight, step and stream."""
        return rules.uniform(self.value.shape, self._seed(stream))

    def _seed(self, stream: Any) -> tf.Tensor:
        return tf.stack([zlib.crc32(f"{self.seed} {stream} {self.weight.index}".encode()) & 0x7FFFFFFF, self.step])
