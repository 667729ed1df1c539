"""An optimizer's state, carried over to a model that holds some weights in another form or at other places."""

from __future__ import annotations

import dataclasses
from typing import Any

import keras
import numpy as np
from keras.src.utils.tracking import DotNotTrackScope

from tf_pai.layers.held import HeldMask, SparseMask, held_masks
from tf_pai.layers.optimizers import copy_optimizer, keep_exclusions, parallel_slots
from tf_pai.layers.positions import carried_over


@dataclasses.dataclass(frozen=True)
class TrainingState:
    """What a compiled model trains with, taken before its layers are replaced.

    Attributes:
        optimizer: its optimizer, or None.
        weights: the weights that it trains, in order.
        held: {path: mask}.
        positions: {path: rising positions of the kept weights} of sparse layers.
    """

    optimizer: Any
    weights: list[keras.Variable]
    held: dict[str, HeldMask]
    positions: dict[str, np.ndarray]

    @classmethod
    def of(cls, model: keras.Model) -> TrainingState:
        """Returns the state of a model, compiled or not."""
        held = held_masks(model)
        positions = {path: mask.positions() for path, mask in held.items() if isinstance(mask, SparseMask)}
        return cls(getattr(model, "optimizer", None), list(model.trainable_variables), held, positions)

    def carry_to(self, model: keras.Model) -> None:
        """Puts the optimizer of a model where this one is: step, slots of kept weights, exclusions from weight decay.

        Where slots do not correspond, as those of optimizers that read rows and columns, it is as new.

        Args:
            model: the same one, its layers replaced, or another of the same weights that was compiled alike.
        """
        if self.optimizer is None or getattr(model, "optimizer", None) is None:
            return
        if model.optimizer is self.optimizer:
            if [id(weight) for weight in self.weights] == [id(weight) for weight in model.trainable_variables]:
                return
            self._give_another(model)
        if not self.optimizer.built or not self._is_of(model):
            return
        model.optimizer.build(model.trainable_variables)
        values = self._slots(model)
        for variable, value in zip(model.optimizer.variables if values else (), values, strict=True):
            variable.assign(value)

    def _give_another(self, model: keras.Model) -> None:
        """A Keras optimizer trains the variables it was built for, and no others."""
        new = copy_optimizer(self.optimizer)
        if self._is_of(model):
            keep_exclusions(self.optimizer, new, zip(self.weights, model.trainable_variables, strict=True))
        with DotNotTrackScope():
            model.optimizer = new
        if model.compiled:
            model._compile_config.config["optimizer"] = new

    def _is_of(self, model: keras.Model) -> bool:
        """Tells whether the model trains the same weights, in whatever form."""
        return [weight.name for weight in self.weights] == [weight.name for weight in model.trainable_variables]

    def _slots(self, model: keras.Model) -> list[Any]:
        """Values for the variables of the model's optimizer; none where some do not correspond."""
        source, target = self.optimizer.variables, model.optimizer.variables
        if len(source) != len(target):
            return []
        after = held_masks(model)
        path_of = {
            id(slot): path
            for path, before in self.held.items()
            if SparseMask in (type(before), type(after.get(path)))
            for slot in parallel_slots(self.optimizer, before.weight)
        }
        values = []
        for old, new in zip(source, target, strict=True):
            path = path_of.get(id(old))
            values.append(_same(old, new) if path is None else self._in_form(old.numpy(), path, after.get(path)))
        return [] if any(value is None for value in values) else values

    def _in_form(self, slot: np.ndarray, path: str, after: HeldMask | None) -> np.ndarray:
        """A slot of a weight that is sparse before or after; `after` is None where it has no mask any more."""
        if path not in self.positions and after is not None:
            return slot.reshape(-1)[after.positions()]
        old = self.positions[path]
        if isinstance(after, SparseMask):
            return carried_over(slot, old, after.positions())
        dense = np.zeros(self.held[path].shape, slot.dtype)
        dense.flat[old] = slot
        return dense


def _same(old: Any, new: Any) -> Any:
    return old if old.shape == new.shape else None
