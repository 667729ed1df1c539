"""The weights whose masks move, and how one of them looks to a rule at an update."""

from __future__ import annotations

import dataclasses
import math
import zlib
from typing import Any

import keras
import tensorflow as tf

from tf_pai.callbacks import rules
from tf_pai.callbacks.slots import Slot, momentum_of, slots_of
from tf_pai.layers import PrunableLayer, prunable_layers
from tf_pai.masks import masked_weights


@dataclasses.dataclass(frozen=True)
class MovingWeight:
    """A weight whose mask moves.

    Attributes:
        index: its place among the weights whose masks move; layer names may differ from one session to the next.
        path: its path in the model.
        variable: the weight.
        mask: its mask, 1 = alive.
        layer: the PrunableLayer that holds both.
        inner: the weight's path inside that layer.
        slots: what the optimizer holds for it.
    """

    index: int
    path: str
    variable: keras.Variable
    mask: keras.Variable
    layer: PrunableLayer
    inner: str
    slots: tuple[Slot, ...]

    @property
    def size(self) -> int:
        """Number of weights, alive or not."""
        return math.prod(self.variable.shape)


def moving_weights(model: keras.Model, optimizer: Any = None) -> list[MovingWeight]:
    """Returns the weights with a mask, in model order.

    Masks of weights that are not trained stay where they are, as do those of biases that follow a filter.

    Args:
        model: a pruned model.
        optimizer: a built optimizer, or None.
    """
    homes = {
        id(mask): (layer, inner)
        for layer in prunable_layers(model).values()
        for inner, (_, mask) in layer.pairs.items()
    }
    found: list[MovingWeight] = []
    initial: dict[int, dict[str, float]] = {}
    for path, (variable, mask) in masked_weights(model).items():
        if len(variable.shape) >= 2 and variable.trainable:
            slots = () if optimizer is None else tuple(slots_of(optimizer, variable, initial))
            found.append(MovingWeight(len(found), path, variable, mask, *homes[id(mask)], slots))
    return found


class WeightState:
    """One weight at one update, as the rules of a method see it; all tensors, in a graph.

    Args:
        weight: the weight.
        gradient: its dense gradient, or None where the method reads none.
        step: the step that has just been taken, an integer tensor.
        keep: how many of the weights alive the method's plan keeps, an integer tensor.
        total: how many the plan wants alive after the update, an integer tensor.
        seed: of the method's random numbers.

    Attributes:
        value: the weight; at pruned places 0, or what lives on there in the background.
        alive: boolean mask before the update; what a rule takes out of it begins anew where it comes back.
    """

    def __init__(self, weight: MovingWeight, gradient: Any, step: Any, keep: Any, total: Any, seed: int):
        self.weight, self.gradient, self.step, self.keep, self.total = weight, gradient, step, keep, total
        self.seed = seed
        self.value = tf.convert_to_tensor(weight.variable.value)
        self.alive = tf.not_equal(tf.convert_to_tensor(weight.mask.value), 0)

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

    def _seed(self, stream: Any) -> tuple[int, Any]:
        return zlib.crc32(f"{self.seed} {stream} {self.weight.index}".encode()) & 0x7FFFFFFF, self.step
