"""FLOPs of a training whose masks move, and the tables of its report."""

from __future__ import annotations

from typing import Any

import keras

from tf_pai.analysis.flops import count_flops, training_flops
from tf_pai.callbacks.history import MaskHistory, MaskUpdate


def training_tables(
    model: keras.Model, history: MaskHistory, steps: int, update_every: int | None
) -> dict[str, list[dict[str, Any]]]:
    """Returns {title: rows}: the updates of the masks, the densities, and the FLOPs of training per example.

    Args:
        model: the model.
        history: what happened to its masks.
        steps: of the training so far.
        update_every: steps between two dense gradients; 0 where every step has one, None where none has.
    """
    flops = flops_of_training(model, history.start, history.updates, steps, update_every)
    return {**history.tables(), "Training FLOPs per example": [flops]}


def flops_of_training(
    model: keras.Model, start: dict[str, float], updates: list[MaskUpdate], steps: int, update_every: int | None
) -> dict[str, float]:
    """Returns {"dense", "sparse", "ratio"}: FLOPs of training per example, averaged over the steps.

    Args:
        model: the model.
        start: {path: density} before the first update.
        updates: in the order of their steps.
        steps: of the training so far.
        update_every: see `training_tables`.

    Reference: Evci et al. 2020, "Rigging the lottery", appendix H.
    """
    layers = count_flops(model).layers.values()
    dense = sum(layer.dense for layer in layers)

    def forward(density: dict[str, float]) -> float:
        kept = [2 * n * layer.sizes[p] * density.get(p, 1.0) for layer in layers for p, n in layer.uses.items()]
        return sum(kept) + sum(layer.other for layer in layers)

    spans = [(0, start), *((update.step, update.density) for update in updates if update.step < steps)]
    ends = [step for step, _ in spans[1:]] + [max(steps, 1)]
    share = [(end - begin) / ends[-1] for (begin, _), end in zip(spans, ends, strict=True)]
    sparse = sum(part * forward(density) for part, (_, density) in zip(share, spans, strict=True))
    in_training = training_flops(dense, sparse, update_every)
    return {"dense": 3.0 * dense, "sparse": in_training, "ratio": in_training / (3 * dense)}
