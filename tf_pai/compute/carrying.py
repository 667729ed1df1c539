"""An optimizer's state, carried over between the dense and the sparse form of the weights it trains."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from tf_pai.layers import HeldMask, SparseMask, held_masks
from tf_pai.layers.optimizers import parallel_slots


def carry_optimizer(old: keras.Model, new: keras.Model) -> None:
    """Puts the optimizer of `new` where that of `old` is: step, and slots of the kept weights.

    Where slots of the two do not correspond, as those of optimizers that read rows and columns, the new one is as new.

    Args:
        old: a compiled model, or one that is not.
        new: the same model with some weights in another form, compiled alike.
    """
    source, target = getattr(old, "optimizer", None), getattr(new, "optimizer", None)
    if source is None or target is None or not source.built:
        return
    target.build(new.trainable_variables)
    if len(source.variables) != len(target.variables):
        return
    forms = _forms(old, new)
    pairs = list(zip(source.variables, target.variables, strict=True))
    values = [_in_other_form(a, b, forms.get(id(a))) for a, b in pairs]
    if any(value is None for value in values):
        return
    for (_, variable), value in zip(pairs, values, strict=True):
        variable.assign(value)


Forms = tuple[HeldMask, HeldMask]  # how a weight is held in the old and in the new model


def _forms(old: keras.Model, new: keras.Model) -> dict[int, Forms]:
    """{id of a slot of the old optimizer: forms} of the weights that have another form in `new`."""
    before, after = held_masks(old), held_masks(new)
    return {
        id(slot): (before[path], after[path])
        for path in after
        if path in before and isinstance(before[path], SparseMask) != isinstance(after[path], SparseMask)
        for slot in parallel_slots(old.optimizer, before[path].weight)
    }


def _in_other_form(source: Any, target: Any, forms: Forms | None) -> Any:
    if forms is None:
        return source if source.shape == target.shape else None
    before, after = forms
    if isinstance(after, SparseMask):
        return source.numpy().reshape(-1)[after.positions()]
    dense = np.zeros(after.shape, source.numpy().dtype)
    dense.flat[before.positions()] = source.numpy()
    return dense
