"""Lifelong: one ticket for a sequence of tasks, found from the top down or from the bottom up."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from tf_pai.masks import Masks
from tf_pai.registry import nearest, register_method
from tf_pai.tickets.one_ticket import required
from tf_pai.tickets.search import Search, entry
from tf_pai.tickets.ticket import Ticket

DIRECTIONS = ("bottom_up", "top_down")
Pair = tuple[np.ndarray, np.ndarray]


@register_method(
    "lifelong",
    survey_name="Lifelong",
    year=2021,
    reference="Chen et al., ICLR 2021",
    track="tickets",
    k1="K",
)
class Lifelong:
    """Tasks come one after the other, `data` last; each is trained together with a memory of those before it.

    - `direction="top_down"`: iterative magnitude pruning over the sequence: the levels are divided over the tasks, and
      the network loses weights from task to task.
    - `direction="bottom_up"` (the default): a ticket of the first task with 1/T of the asked density (T tasks); at each
      new task the dense network is trained, and its largest weights outside the mask are added, until the density is
      t/T of that asked for. Weights are reset to w_0 each time.

    Other options: `tasks`, the earlier tasks, a list of arrays (x, y) (needed); `memory`, the fraction of each earlier
    task's examples that is kept (0.1).

    Reference: Chen et al. 2021, "Long live the lottery: the existence of winning tickets in lifelong learning",
    section 4, figure 2.
    Differs from the paper in: the memory stands for unlabelled data and distillation ("lottery teaching"); bottom-up
    grows by a fixed share at each task, where the paper grows until the accuracy on the new task is reached.
    """

    options = {"tasks": None, "direction": "bottom_up", "memory": 0.1}
    structure = "unstructured"

    def distribution(self, rate: float) -> str:
        """Returns one threshold for all layers."""
        return "global"

    def find(self, search: Search) -> Ticket:
        """Returns the ticket.

        Raises:
            ValueError: no earlier tasks, another direction, data that are no arrays.
        """
        direction = search.options["direction"]
        if direction not in DIRECTIONS:
            raise ValueError(
                f"direction is one of {', '.join(DIRECTIONS)}. Received: direction={direction!r}."
                f"{nearest(direction, list(DIRECTIONS))}"
            )
        earlier = required(search, "tasks", "the tasks that come before `data`")
        if not isinstance(earlier, (list, tuple)):
            raise ValueError(f"tasks is a list of arrays (x, y). Received: tasks={earlier!r}.")
        seen = sequence([*earlier, search.bench.routine.data], search.options["memory"], search.seed)
        if direction == "top_down":
            levels = len(search.densities())
            if levels < len(seen):
                raise ValueError(
                    "From the top down each task has a level or more. Received: "
                    f"{levels} levels for {len(seen)} tasks. Ask for more rounds, or a lower rate."
                )
            return search.iterate(search.bench.values(), data=lambda level, levels: seen[level * len(seen) // levels])
        return self._bottom_up(search, seen)

    def _bottom_up(self, search: Search, seen: Sequence[Pair]) -> Ticket:
        bench, density, start = search.bench, search.plan.density, search.bench.values()
        masks: Masks = {path: np.zeros(mask.shape, bool) for path, mask in bench.dense().items()}
        history = []
        for number, data in enumerate(seen, start=1):
            trained = bench.train(start, bench.dense(), f"task {number}/{len(seen)}", data=data)
            scores = {p: np.where(masks[p], np.inf, size) for p, size in search.sizes(trained.values).items()}
            masks = search.chosen(scores, density * number / len(seen))
            history.append({**entry(number - 1, masks, trained), "task": number})
        return search.ticket(start, masks, 0, history)


def sequence(tasks: Sequence[Any], memory: float, seed: int) -> list[Pair]:
    """Returns what is trained on at each task: all of it, and a part of every earlier one.

    Args:
        tasks: arrays (x, y).
        memory: fraction of each earlier task, in [0, 1].
        seed: of the choice of the examples that are kept.

    Raises:
        ValueError: data of another kind, a fraction outside [0, 1].
    """
    if not all(isinstance(task, (tuple, list)) and len(keras.tree.flatten(task)) == len(task) == 2 for task in tasks):
        raise ValueError("Tasks that come in sequence are arrays (x, y). Received: data of another kind.")
    if not 0 <= memory <= 1:
        raise ValueError(f"memory is a fraction in [0, 1]. Received: memory={memory!r}.")
    generator = np.random.default_rng(seed)
    kept: list[Pair] = []
    found = []
    for x, y in tasks:
        parts = [*kept, (np.asarray(x), np.asarray(y))]
        found.append((np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts])))
        chosen = np.sort(generator.permutation(len(y))[: round(memory * len(y))])
        kept.append((np.asarray(x)[chosen], np.asarray(y)[chosen]))
    return found
