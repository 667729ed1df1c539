"""FORCE: foresight connection sensitivity, the sensitivity that weights would have after pruning."""

from __future__ import annotations

from tf_pai.criteria.snip import SNIP


class FORCE(SNIP):
    """s = |g(w * m) * w|: dense weights, the gradient of the network masked so far; pruned weights may return.

    SNIP's score. The method is in the schedule, many exponential rounds, and in this choice. Where a mask cuts every
    path from input to output, all scores are 0, and the next round keeps the lowest flat indices.

    Args:
        training: BatchNorm's mode while scoring; the authors' code scores in training mode.

    Reference: de Jorge et al. 2021, "Progressive skeletonization: trimming more fat from a network at initialization",
    section 4 and algorithm 1.
    """

    def __init__(self, training: bool = True):
        super().__init__(training, revives=True)
