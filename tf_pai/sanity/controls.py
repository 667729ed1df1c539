"""Controls that change weights or masks, and keep how many weights each layer has."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tf_pai.masks import Masks
from tf_pai.registry import Registry
from tf_pai.sanity.context import Context
from tf_pai.sanity.verdict import Finding, compared
from tf_pai.tickets.changing import shuffled
from tf_pai.topk import keep_highest

CHECKS: Registry[Callable[[Context], Finding]] = Registry("check")
NEEDS: dict[str, Callable[[Context], Any]] = {}  # {check: raises, before anything is trained, where it cannot be made}


@CHECKS.register("reinit")
def reinit(context: Context) -> Finding:
    """The same masks over new random weights: a winning ticket needs its own.

    Reference: Frankle & Carbin 2019, section 2; Liu et al. 2019, "Rethinking the value of network pruning".
    """
    masks = context.masks
    controls = [
        context.accuracy(context.reinitialized(seed), masks, "re-initialized", seed) for seed in range(context.seeds)
    ]
    return compared("reinit", "re-initialized", context.found, controls, context.margin)


@CHECKS.register("shuffle")
def shuffle(context: Context) -> Finding:
    """Each layer's mask in another order over the initial weights: a winning ticket needs its own connections.

    Reference: Frankle et al. 2021, "Pruning neural networks at initialization", section 5.
    """
    weights, masks = context.ticket.initial_weights, context.masks
    controls = [context.accuracy(weights, shuffled(masks, seed), "shuffled", seed) for seed in range(context.seeds)]
    return compared("shuffle", "shuffled masks", context.found, controls, context.margin)


@CHECKS.register("random_ticket")
def random_ticket(context: Context) -> Finding:
    """Random connections and new random weights, as many in each layer: only the layers' ratios are left.

    Reference: Su et al. 2020, "Sanity-checking pruning methods: random tickets can win the jackpot", section 4.
    """
    masks = context.masks
    controls = [
        context.accuracy(context.reinitialized(seed), shuffled(masks, seed), "random ticket", seed)
        for seed in range(context.seeds)
    ]
    return compared("random_ticket", "random tickets", context.found, controls, context.margin)


@CHECKS.register("invert")
def invert(context: Context) -> Finding:
    """In each layer, as many weights as the ticket keeps, but those with the lowest scores.

    Reference: Frankle et al. 2021, section 5.

    Raises:
        ValueError: the ticket has no scores.
    """
    weights, masks = context.ticket.initial_weights, inverted(context)
    controls = [context.accuracy(weights, masks, "inverted", seed) for seed in range(context.seeds)]
    return compared("invert", "inverted scores", context.found, controls, context.margin)


def inverted(context: Context) -> Masks:
    """Returns the ticket's masks with each layer's lowest scores in place of the highest."""
    if context.ticket.scores is None:
        raise ValueError(
            "Inverting needs the scores that chose the masks. Received: a ticket without scores, as read from a file. "
            "Leave the check 'invert' out, or find the ticket here."
        )
    masks = dict(context.masks)
    for path, score in context.ticket.scores.items():
        masks[path] = keep_highest([-score], int(masks[path].sum()))[0]
    return masks


NEEDS["shuffle"] = NEEDS["random_ticket"] = lambda context: shuffled(context.masks, 0)
NEEDS["invert"] = inverted
