"""The random weights that a subnet is selected from."""

from __future__ import annotations

import math
from typing import Any

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
    return weight.variable.numpy() if kind == "own" else _drawn(weight.shape, fan_in(weight), kind, generator)


def _drawn(shape: tuple[int, ...], inputs: int, kind: str, generator: np.random.Generator) -> np.ndarray:
    deviation = math.sqrt(2 / inputs)
    if kind == "kaiming_normal":
        return generator.normal(0, deviation, shape).astype("float32")
    return (deviation * generator.choice([-1.0, 1.0], shape)).astype("float32")


def scaled(value: np.ndarray, keep: int) -> np.ndarray:
    """Returns value / sqrt(k), k = keep / size: what keeps the variance of the activations."""
    return value / math.sqrt(keep / value.size)


def frozen_again(path: str, shape: tuple[int, ...], selection: dict[str, Any]) -> np.ndarray:
    """Returns what `select_subnet` froze a weight at, from what `description_of` says.

    Args:
        path: of the weight.
        shape: its shape.
        selection: the description.
    """
    place = list(selection["keep"]).index(path)
    generator = np.random.default_rng([selection["seed"], place])
    value = _drawn(shape, selection["fan_in"][path], selection["weights"], generator)
    return scaled(value, selection["keep"][path]) if selection["scaled"] else value
