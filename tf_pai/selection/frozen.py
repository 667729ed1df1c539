"""The random weights that a subnet is selected from."""

from __future__ import annotations

import math

import numpy as np

from tf_pai.layers import PrunableWeight
from tf_pai.registry import nearest
from tf_pai.selection.rule import fan_in

KINDS = ("signed_constant", "kaiming_normal", "own")


def check_kind(weights: str) -> None:
    """Raises ValueError where that is no kind of weights."""
    if weights not in KINDS:
        raise ValueError(
            f"Frozen weights are one of {', '.join(KINDS)}. Received: weights={weights!r}."
            f"{nearest(str(weights), list(KINDS))}"
        )


def frozen_value(weight: PrunableWeight, kind: str, generator: np.random.Generator) -> np.ndarray:
    """Returns what the weight is frozen at, with the deviation sqrt(2 / fan_in) of Kaiming's initialization.

    Args:
        weight: the weight; it keeps its own value.
        kind: "signed_constant" for plus or minus the deviation, "kaiming_normal", or "own" for its own value.
        generator: of signs and values.
    """
    if kind == "own":
        return weight.variable.numpy()
    deviation = math.sqrt(2 / fan_in(weight))
    if kind == "kaiming_normal":
        return generator.normal(0, deviation, weight.shape).astype("float32")
    return (deviation * generator.choice([-1.0, 1.0], weight.shape)).astype("float32")
