"""The choice made in each of the four topics, checked before anything is scored."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import keras
import numpy as np

from tf_pai import distributions, schedules, structures
from tf_pai.criteria import Criterion
from tf_pai.criteria.problem import Problem
from tf_pai.layers import PrunableWeight, participating
from tf_pai.layers.graph import output_layers
from tf_pai.reporting.progress import progress
from tf_pai.static import method as methods
from tf_pai.static.checks import check_scores, check_sparsity
from tf_pai.structures import Filter

Masks = dict[str, np.ndarray]
Weights = dict[str, PrunableWeight]


@dataclasses.dataclass(frozen=True)
class Plan:
    """The choice made in each topic, checked against the model's weights before anything is scored."""

    criterion: Criterion
    structure: structures.Structure
    distribution: distributions.Distribution
    schedule: schedules.Schedule
    weights: Weights
    density: float
    min_keep: int

    def masks(self, problem: Problem, start: Masks, verbose: Any = 0) -> tuple[Masks, Masks]:
        """Returns (masks after the last round, its scores): f1 of the survey's eq. 2."""
        self._check_start(start)
        masks = start
        total = sum(mask.size for mask in start.values())
        densities = self.schedule.densities(self.density, total)
        for density in progress(densities, "pruning rounds", verbose):
            problem.keep = round(density * total)
            scores = check_scores(self.criterion, self.criterion.score(problem, masks))
            masks = self.choose(scores, density) if self.criterion.revives else self._among(masks, scores, density)
        return masks, scores

    def _among(self, alive: Masks, scores: Masks, density: float) -> Masks:
        """Returns masks of that density, no pruned weight back."""
        if isinstance(self.structure, structures.Unstructured) and not self.min_keep:
            chosen = self.choose(scores, density)
            if not any((mask > alive[path]).any() for path, mask in chosen.items()):
                return chosen  # most often: pruned weights score lowest, and no copy of the scores is made
        scores = {p: s if alive[p].all() else np.where(alive[p], s, -np.inf) for p, s in scores.items()}
        return {path: mask & alive[path] for path, mask in self.choose(scores, density).items()}

    def _check_start(self, start: Masks) -> None:
        """Raises ValueError where a model is pruned already, and further than is asked for now."""
        shapes = {path: mask.shape for path, mask in start.items()}
        for budget in () if self.criterion.revives else self._budgets(shapes, self.density):
            alive = sum(int(np.count_nonzero(start[path])) for path in budget.paths)
            if budget.keep > alive:
                raise ValueError(
                    f"A pruned model is pruned further, never less. Received: sparsity={1 - self.density:g}, which "
                    f"keeps {budget.keep} weights of {', '.join(budget.paths)}, of which {alive} are left. Ask for a "
                    "higher sparsity, or start from the dense model."
                )

    def choose(self, scores: Masks, density: float) -> Masks:
        """Returns masks of that density with the highest scores, in model order."""
        shapes = {path: score.shape for path, score in scores.items()}
        masks: Masks = {}
        for budget in self._budgets(shapes, density):
            group = {path: scores[path] for path in budget.paths}
            masks |= self.structure.choose(self.weights, group, budget.keep, self.min_keep)
        return {path: masks[path] for path in scores}

    def _budgets(self, shapes: distributions.Shapes, density: float) -> list[distributions.Budget]:
        return distributions.with_floor(self.distribution.budgets(shapes, density), shapes, self.min_keep)

    def asked(self) -> dict[str, float]:
        """Returns {path: the sparsity that the path's budget, shared or its own, asks for}."""
        if self.structure.density is not None:
            return dict.fromkeys(self.weights, 1 - self.structure.density)
        shapes = {path: weight.shape for path, weight in self.weights.items()}
        asked: dict[str, float] = {}
        for budget in self._budgets(shapes, self.density):
            size = sum(math.prod(shapes[path]) for path in budget.paths)
            asked |= dict.fromkeys(budget.paths, 1 - budget.keep / size)
        return {path: asked[path] for path in shapes}


def make_plan(
    model: keras.Model,
    method: methods.StaticMethod,
    sparsity: float | None,
    distribution: Any,
    structure: Any,
    schedule: Any,
    min_keep: int,
    include: Any,
    exclude: Any,
) -> Plan:
    """Returns the checked plan; raises ValueError where a choice is wrong by itself or beside another one."""
    chosen_structure = structures.get(method.structure if structure is None else structure)
    weights = participating(model, include, exclude)
    weights = {path: weight for path, weight in weights.items() if chosen_structure.takes_part(weight)}
    if isinstance(chosen_structure, Filter):
        last = {id(layer) for layer in output_layers(model)}
        weights = {path: weight for path, weight in weights.items() if id(weight.owner) not in last}
    if not weights:
        raise ValueError(
            f"The structure {chosen_structure!r} needs weights it can prune. Received: {model.name!r} with none "
            "(output layers keep their channels). Choose another structure."
        )
    for weight in weights.values():
        chosen_structure.check(weight)
    if chosen_structure.density is not None and (distribution is not None or schedule is not None or min_keep):
        raise ValueError(
            f"The pattern {chosen_structure!r} itself says how many weights stay in each group. Received: "
            f"distribution={distribution!r}, schedule={schedule!r}, min_keep={min_keep!r}. Leave them out."
        )
    plan = Plan(
        criterion=method.criterion,
        structure=chosen_structure,
        distribution=distributions.get(method.distribution if distribution is None else distribution),
        schedule=schedules.get(method.schedule if schedule is None else schedule),
        weights=weights,
        density=1 - check_sparsity(sparsity, chosen_structure),
        min_keep=min_keep,
    )
    if chosen_structure.density is not None:
        plan = dataclasses.replace(plan, schedule=schedules.OneShot())
    _check_budget(plan)
    _check_counts(plan)
    return plan


def _check_budget(plan: Plan) -> None:
    """Raises ValueError where the criterion says itself how many weights each layer keeps, and another choice does."""
    fits = isinstance(plan.structure, structures.Unstructured) and isinstance(plan.distribution, distributions.Global)
    if plan.criterion.own_budget and not fits:
        raise ValueError(
            f"{plan.criterion!r} says itself how many single weights each layer keeps. Received: structure="
            f"{plan.structure!r}, distribution={plan.distribution!r}. Leave them out, or choose another method."
        )


def _check_counts(plan: Plan) -> None:
    """Runs what can fail of distribution and schedule, before anything is scored."""
    shapes = {path: weight.shape for path, weight in plan.weights.items()}
    total = sum(int(np.prod(shape)) for shape in shapes.values())
    for density in plan.schedule.densities(plan.density, total):
        plan.distribution.budgets(shapes, density)
    if isinstance(plan.min_keep, bool) or not isinstance(plan.min_keep, int) or plan.min_keep < 0:
        raise ValueError(f"min_keep is a number of weights, 0 or more. Received: min_keep={plan.min_keep!r}.")
    floor = sum(min(plan.min_keep, int(np.prod(shape))) for shape in shapes.values())
    if floor > round(plan.density * total):
        raise ValueError(
            f"min_keep={plan.min_keep} in each of {len(shapes)} weights needs {floor} weights. Received: a "
            f"sparsity that keeps {round(plan.density * total)}. Lower one of the two."
        )
