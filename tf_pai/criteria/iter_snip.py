"""Iter-SNIP: connection sensitivity, assessed anew as the network gets smaller."""

from __future__ import annotations

from tf_pai.criteria.snip import SNIP


class IterSNIP(SNIP):
    """s = |g(w * m) * w|, m the mask so far; what is pruned stays pruned.

    SNIP's score. The method is in the schedule, many exponential rounds, and in this choice.

    Args:
        training: BatchNorm's mode while scoring; the authors' code scores in training mode.

    Reference: de Jorge et al. 2021, "Progressive skeletonization: trimming more fat from a network at initialization",
    section 4, "Iterative SNIP".
    """

    def __init__(self, training: bool = True):
        super().__init__(training, revives=False)
