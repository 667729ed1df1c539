"""LTH+'s instability analysis: are two trainings of one ticket linearly connected?"""

from __future__ import annotations

import numpy as np

from tf_pai.layers import weights_of
from tf_pai.masks import Masks
from tf_pai.sanity.context import Context
from tf_pai.sanity.controls import CHECKS
from tf_pai.sanity.verdict import Finding
from tf_pai.tickets.bench import Bench, Values

STABLE = 0.02  # Frankle et al. 2020, section 3: a rise of less than two points counts as none


@CHECKS.register("instability")
def instability(context: Context) -> Finding:
    """The error barrier between two trainings of the ticket that differ in the order of the data.

    barrier = max over a of error((1 - a) w_1 + a w_2) - mean of error(w_1) and error(w_2), at `points` (11) values of
    a; BatchNorm's statistics are interpolated too. A stable ticket has none. Nothing is decided where both orders are
    the same, as those of a dataset are.

    Reference: Frankle et al. 2020, "Linear mode connectivity and the lottery ticket hypothesis", section 2.
    """
    ticket = context.ticket
    ends = [context.train(ticket.initial_weights, context.masks, "as found", seed).values for seed in (0, 1)]
    if all(np.array_equal(value, ends[1][path]) for path, value in ends[0].items()):
        text = "undecided: both trainings saw the data in the same order. Pass arrays, or a function of the epoch"
        return Finding("instability", None, text, {"seeds": 2})
    path = errors_between(context.bench, ends[0], ends[1], context.masks, context.options["points"], context.metric)
    height = barrier(path)
    stable = height < STABLE
    text = (
        f"{'stable' if stable else 'unstable'}: error barrier {100 * height:.2f} points between two orders of the data"
    )
    return Finding("instability", stable, text, {"seeds": 2, "errors": path, "barrier": height})


def errors_between(
    bench: Bench, first: Values, second: Values, masks: Masks, points: int, metric: str = "accuracy"
) -> list[float]:
    """Returns the validation error at evenly spaced points of the line from `first` to `second`."""
    errors = []
    variables = weights_of(bench.model)
    bench.reset(first, masks)
    for share in np.linspace(0, 1, points):
        for path, value in first.items():
            mixed = (1 - share) * value + share * second[path] if value.dtype.kind == "f" else value
            variables[path].assign(mixed)
        errors.append(1 - bench.evaluate()[metric])
    return errors


def barrier(errors: list[float]) -> float:
    """Returns the highest error on the line less the mean of its ends.

    >>> round(barrier([0.1, 0.5, 0.2]), 2)
    0.35
    """
    return max(errors) - (errors[0] + errors[-1]) / 2
