"""Checks over learning rates: do weights stay where they began, does the ticket win where training is good?"""

from __future__ import annotations

import statistics
from typing import Any

import numpy as np

from tf_pai.masks import Masks
from tf_pai.sanity.context import Context
from tf_pai.sanity.controls import CHECKS, NEEDS
from tf_pai.sanity.statistics import welch
from tf_pai.sanity.verdict import LEVEL, Finding, spread
from tf_pai.tickets.bench import Bench, Values
from tf_pai.tickets.stretching import bench_at_rate
from tf_pai.topk import keep_highest


def benches(context: Context) -> dict[str, Bench]:
    """Returns {learning rate: bench}; without the option `learning_rates`, one at the compiled rate."""
    rates = context.options["learning_rates"]
    return {f"{rate:g}": bench_at_rate(context.bench, rate) for rate in rates} or {"as compiled": context.bench}


NEEDS["correlation"] = NEEDS["winning"] = benches


@CHECKS.register("correlation")
def correlation(context: Context) -> Finding:
    """Overlap of the largest initial with the largest trained weights, of the dense network, at each learning rate.

    R = |top(w_0) and top(w_K)| / |top|, top = as many of the largest |w| as the ticket keeps; by chance its density.
    High overlap says that training moved the weights too little to choose among them. It decides nothing by itself.

    Reference: Liu et al. 2021, "Lottery ticket implies accuracy degradation, is it a desirable phenomenon?", eq. 3.
    """
    start = context.ticket.initial_weights
    figures: dict[str, Any] = {"seeds": context.seeds, "chance": context.density}
    for rate, bench in benches(context).items():
        overlaps, accuracies = [], []
        for seed in range(context.seeds):
            trained = bench.train(start, bench.dense(), f"dense at {rate}", step=context.ticket.step, replicate=seed)
            overlaps.append(overlap(start, trained.values, context.masks))
            accuracies.append(trained.metrics[context.metric])
        figures[rate] = {"overlap": overlaps, "accuracy": accuracies}
    parts = [
        f"{rate}: {spread(found['overlap'])} % (dense accuracy {spread(found['accuracy'])})"
        for rate, found in figures.items()
        if isinstance(found, dict)
    ]
    text = f"overlap of initial and trained weights, {100 * context.density:.2f} % by chance, at learning rates "
    return Finding("correlation", None, text + ", ".join(parts), figures)


def overlap(initial: Values, trained: Values, masks: Masks) -> float:
    """Returns the fraction of the largest trained weights that were among the largest initial ones.

    Args:
        initial: {path: value}.
        trained: {path: value}.
        masks: as many weights are looked at as they keep, and at these paths.
    """
    count = sum(int(mask.sum()) for mask in masks.values())
    tops = [keep_highest([np.abs(values[path]) for path in masks], count) for values in (initial, trained)]
    return sum(int((a & b).sum()) for a, b in zip(*tops, strict=True)) / count


@CHECKS.register("winning")
def winning(context: Context) -> Finding:
    """The definition of a winning ticket, at the learning rate at which the dense network is best.

    It wins if it is not worse than the dense network (by more than `margin`, one-sided 5 %) and better than the
    re-initialized one (one-sided 5 %). A win at another rate alone is not one.

    Reference: Ma et al. 2021, "Sanity checks for lottery tickets: does your winning ticket really win the jackpot?",
    definition 1.
    """
    groups = {rate: _three(context, bench, rate) for rate, bench in benches(context).items()}
    best = max(groups, key=lambda rate: statistics.fmean(groups[rate]["dense"]))
    dense, ticket, reinit = (groups[best][name] for name in ("dense", "ticket", "reinit"))
    matches = welch([a - context.margin for a in dense], ticket).p >= LEVEL
    beats = welch(ticket, reinit).p < LEVEL
    head = "wins" if matches and beats else "not a winning ticket"
    reasons = [
        "not worse than dense" if matches else "worse than dense",
        "better than re-initialized" if beats else "no better than re-initialized",
    ]
    text = (
        f"{head} at the best learning rate ({best}): {' and '.join(reasons)}; ticket {spread(ticket)}, "
        f"dense {spread(dense)}, re-initialized {spread(reinit)}"
    )
    return Finding(
        "winning", matches and beats, text, {"seeds": context.seeds, "test": "Welch's t, one-sided", **groups}
    )


def _three(context: Context, bench: Bench, rate: str) -> dict[str, list[float]]:
    """Accuracies of the dense network, the ticket and the re-initialized one at one learning rate."""
    start, masks, step = context.ticket.initial_weights, context.masks, context.ticket.step
    found: dict[str, list[float]] = {"dense": [], "ticket": [], "reinit": []}
    for seed in range(context.seeds):
        runs = {
            "dense": (start, bench.dense()),
            "ticket": (start, masks),
            "reinit": (context.reinitialized(seed), masks),
        }
        for name, (values, under) in runs.items():
            trained = bench.train(values, under, f"{name} at {rate}", step=step, replicate=seed)
            found[name].append(trained.metrics[context.metric])
    return found
