"""Masks of scores that an optimizer with `use_ema` overwrites with their moving averages when training ends."""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable
from typing import Any

from tf_pai.layers import prunable_layers
from tf_pai.layers.optimizers import optimizers_of


def follow_averages(model: Any) -> None:
    """Sees to it that masks are set to what the averages mean, when the model's optimizer has put these in place.

    Keras does that after the last step, past all constraints.

    Args:
        model: what is being called; nothing happens where it has no optimizer that keeps averages.
    """
    for leaf in optimizers_of(getattr(model, "optimizer", None)):
        if leaf.use_ema:
            leaf.finalize_variable_values = functools.partial(_finalize, leaf, weakref.ref(model))


def _finalize(optimizer: Any, model: Callable[[], Any], variables: Any) -> None:
    """Keras' own `finalize_variable_values`, and then the masks."""
    type(optimizer).finalize_variable_values(optimizer, variables)
    for layer in [] if model() is None else prunable_layers(model()).values():
        layer.project()
