"""Step counts as users write them: integers, "500it", "2ep", "1ep50it"."""

from __future__ import annotations

import math
import numbers
import re
from fractions import Fraction
from typing import Any


def to_steps(value: Any, steps_per_epoch: int | Fraction | None = None, argument: str = "steps") -> int:
    """Returns a number of training steps.

    Args:
        value: an integer (steps), or a string of epochs and iterations: "500it", "2ep", "1ep50it".
        steps_per_epoch: what an epoch counts; None where it is not known. Of a fraction, what is asked is rounded down,
            to one step at least.
        argument: what the value is called in messages.

    Raises:
        TypeError: no integer and no string.
        ValueError: a negative number, another spelling, or epochs where their length is not known.

    Example:
        >>> to_steps(7), to_steps("500it"), to_steps("2ep", 100), to_steps("1ep50it", 100)
        (7, 500, 200, 150)
    """
    rule = f'{argument} is a number of steps: an integer, or a string such as "500it", "2ep" or "1ep50it".'
    if isinstance(value, bool) or not isinstance(value, (numbers.Integral, str)):
        raise TypeError(f"{rule} Received: {argument}={value!r}.")
    if not isinstance(value, str):
        if value < 0:
            raise ValueError(f"{rule} Received: {argument}={value!r}, which is negative.")
        return int(value)
    match = re.fullmatch(r"(?:(\d+)ep)?(?:(\d+)it)?", value.replace(" ", ""))
    if not value or match is None:
        raise ValueError(f"{rule} Received: {argument}={value!r}.")
    epochs, iterations = int(match[1] or 0), int(match[2] or 0)
    if epochs and steps_per_epoch is None:
        raise ValueError(
            f"Epochs count where their number of steps is known. Received: {argument}={value!r} for data of unknown "
            'length. Pass steps ("500it"), or steps_per_epoch= to fit.'
        )
    steps = epochs * (steps_per_epoch or 0) + iterations
    return max(math.floor(steps), 1) if steps else 0
