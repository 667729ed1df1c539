"""PHEW: keep the weights on random paths from inputs to outputs that prefer large weights."""

from __future__ import annotations

import numpy as np

from tf_pai.criteria.base import Criterion, Masks, Scores
from tf_pai.criteria.problem import Problem
from tf_pai.criteria.walk_steps import Visits
from tf_pai.criteria.walks import Walks

WALKS = 2048  # walks that are made together
FEWEST = WALKS // 100  # of new weights among them; with fewer, walking on is hopeless
UNSEEN = np.iinfo(np.int64).max


class PHEW(Criterion):
    """s = 1 / (1 + n), n the number of the step that first went through the weight; p(unit i to j) ~ |w_ij|.

    Walks start at input and output units in turn, each unit in its turn, until the number of weights to keep is
    covered. A unit is a channel; the kernel position is drawn with p ~ |w|, too. Where paths part (residual
    connections), one is drawn with equal chances. How many weights each layer keeps is the walks' own doing, so PHEW
    goes with single weights and the "global" budget only. `tf_pai.score`, which asks for no number, covers a tenth.

    Raises:
        ValueError: in `score`, a model whose layers it cannot walk through (attention, recurrence, embeddings, grouped
            convolutions), or whose graph is not known (a subclassed model).

    Reference: Patil and Dovrolis 2021, "PHEW: constructing sparse networks that learn fast and generalize well without
    training data", section 5.

    Differs from the paper in: the number of weights is met exactly, in the middle of the last path if need be, and
    biases stay. Where fewer than one walk in a hundred finds a new weight (densities near 1), the rest are the largest.
    """

    needs_data = needs_labels = False
    own_budget = True

    def score(self, problem: Problem, masks: Masks) -> Scores:
        """Returns 1 / (1 + n) of the pruned network's weights, and |w| / max |w| - 1 of those that no walk has met."""
        values = {path: value * masks[path] for path, value in problem.values().items()}
        first = _first_steps(problem, values)
        highest = max(float(np.abs(value).max()) for value in values.values()) or 1.0
        return {
            path: np.where(first[path] < UNSEEN, 1 / (1.0 + first[path]), np.abs(value) / highest - 1)
            for path, value in values.items()
        }


def _first_steps(problem: Problem, values: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """{path: number of the step that first went through each weight, or UNSEEN}."""
    by_id = {id(weight.variable): values[path] for path, weight in problem.weights.items()}
    walks = Walks(problem.model, lambda variable: by_id.get(id(variable), variable.numpy()))
    steps = {id(weight.variable): np.full(weight.shape, UNSEEN) for weight in problem.weights.values()}
    keep = problem.keep if problem.keep is not None else sum(v.size for v in values.values()) // 10
    generator = problem.generator()
    covered, walked, new = 0, 0, WALKS
    while covered < keep and new >= FEWEST:
        numbers = walked + np.arange(WALKS)
        for parity, walk, ends in ((0, walks.forward, walks.inputs), (1, walks.backward, walks.outputs)):
            walkers = numbers[numbers % 2 == parity]
            starts = walkers // 2 % sum(units for _, units in ends)
            _record(steps, walkers * len(walks.edges), walk(starts, generator))
        walked += WALKS
        now = sum(int(np.count_nonzero(s < UNSEEN)) for s in steps.values())
        covered, new = now, now - covered
    return {path: steps[id(weight.variable)] for path, weight in problem.weights.items()}


def _record(steps: dict[int, np.ndarray], numbers: np.ndarray, found: list[tuple[np.ndarray, Visits]]) -> None:
    """Enters the earliest step through each weight; `numbers` are those of the walkers' first steps."""
    for place, (walkers, visits) in enumerate(found):
        for variable, indices in visits:
            if id(variable) in steps:
                np.minimum.at(steps[id(variable)].reshape(-1), indices, numbers[walkers] + place)
