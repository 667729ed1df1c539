"""A pre-selected-mask method: a choice in each of the four topics of f1, and f2."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from tf_pai.criteria import Criterion
from tf_pai.registry import METHODS, nearest


@dataclasses.dataclass(frozen=True)
class StaticMethod:
    """What `prune_at_init` uses where the caller does not say otherwise.

    Attributes:
        criterion: which weights stay.
        distribution: how many stay in each layer.
        schedule: in how many rounds.
        structure: what is pruned.
        transform: f2: changes the kept weights of the pruned model in place; called with (model, masks, seed).
    """

    criterion: Criterion
    distribution: Any = "global"
    schedule: Any = "one_shot"
    structure: Any = "unstructured"
    transform: Callable[[keras.Model, dict[str, np.ndarray], int], None] | None = None


def get(method: str | Criterion | StaticMethod) -> StaticMethod:
    """Returns the static method of that name, or one around a criterion object.

    Raises:
        ValueError: no static method has that name; methods of other tracks are named with the function that runs them.
        TypeError: neither a name nor a criterion.
    """
    if isinstance(method, StaticMethod):
        return method
    if isinstance(method, Criterion):
        return StaticMethod(method)
    if not isinstance(method, str):
        raise TypeError(
            "A method is a registered name or a criterion object such as tf_pai.criteria.SNIP(). "
            f"Received: {method!r} of type {type(method).__name__}."
        )
    static = [name for name in METHODS if METHODS.find(name).track == "static"]
    if method in METHODS and method not in static:
        raise ValueError(
            f"prune_at_init takes methods that choose the mask at initialization. Received: {method!r} of the track "
            f"{METHODS.find(method).track!r}. tf_pai.run takes it by the same name."
        )
    if method not in static:
        raise ValueError(
            f"Unknown method. Received: {method!r}.{nearest(method, static)} Valid names: {', '.join(static)}."
        )
    return METHODS.find(method).make()
