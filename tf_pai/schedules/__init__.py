"""Pruning schedules: *how* sparsity grows over time (survey 2.2, topic 4)."""

from __future__ import annotations

import re
from typing import Any

from tf_pai.registry import nearest
from tf_pai.schedules.base import Iterative, OneShot, Progressive, Schedule

__all__ = ["Iterative", "OneShot", "Progressive", "Schedule", "get"]


def get(schedule: str | Schedule | Any) -> Schedule:
    """Returns the schedule of that spelling: "one_shot" or "iterative:ROUNDS"; a tfmot or Keras schedule is taken too.

    Raises:
        ValueError: no schedule is spelt so.

    Example:
        >>> get("one_shot"), get("iterative:100")
        (one_shot, iterative:100)
    """
    if isinstance(schedule, Schedule):
        return schedule
    if callable(schedule):
        return Progressive(schedule)
    if schedule == "one_shot":
        return OneShot()
    if match := re.fullmatch(r"iterative:(\d+)", str(schedule)):
        return Iterative(int(match[1]))
    raise ValueError(
        'A schedule is "one_shot", "iterative:ROUNDS" such as "iterative:100", an object of tf_pai.schedules, a '
        f"tfmot pruning schedule or a Keras schedule. Received: {schedule!r}."
        f"{nearest(str(schedule), ['one_shot', 'iterative:100'])}"
    )
