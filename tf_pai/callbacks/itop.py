"""The in-time over-parameterization settings of RigL and SET: rarer and larger updates explore more."""

from __future__ import annotations

from typing import Any

from tf_pai.callbacks.rigl import RigL
from tf_pai.callbacks.set import SET
from tf_pai.registry import register_method

FINAL_FRACTION = 0.005  # what the authors' cosine ends at
_ITOP = {
    "year": 2021,
    "reference": "Liu et al., ICML 2021",
    "track": "dynamic",
    "k1": "K",
}


@register_method("rigl_itop", survey_name="RigL-ITOP", **_ITOP)
class RigLITOP(RigL):
    """RigL with updates so rare that each finds trained weights: half of them every 4000 steps.

    What counts is the exploration rate R_s, the fraction of all places that have ever been alive; it is in the logs.

    Args:
        update_every: steps between two updates.
        drop_fraction: at the start.
        final_fraction: at the end.
        rounding: as the authors'.
        **kwargs: see `RigL`.

    Example:
        >>> import tf_pai
        >>> tf_pai.callbacks.RigLITOP(seed=0).update_every
        4000

    Reference: Liu et al. 2021, "Do we actually need dense over-parameterization? In-time over-parameterization in
    sparse training", section 4.
    """

    def __init__(
        self,
        update_every: int | str = 4000,
        drop_fraction: float = 0.5,
        final_fraction: float = FINAL_FRACTION,
        rounding: str = "ceil",
        **kwargs: Any,
    ):
        super().__init__(
            update_every=update_every,
            drop_fraction=drop_fraction,
            final_fraction=final_fraction,
            rounding=rounding,
            **kwargs,
        )


@register_method("set_itop", survey_name="SET-ITOP", **_ITOP)
class SETITOP(SET):
    """SET with rarer and larger updates: half of the weights every 1500 steps.

    Args:
        update_every: steps between two updates.
        drop_fraction: at the start.
        final_fraction: at the end.
        rounding: as the authors'.
        **kwargs: see `SET`.

    Example:
        >>> import tf_pai
        >>> tf_pai.callbacks.SETITOP(seed=0).drop_fraction
        0.5

    Reference: Liu et al. 2021, "Do we actually need dense over-parameterization? In-time over-parameterization in
    sparse training", section 4.
    """

    def __init__(
        self,
        update_every: int | str = 1500,
        drop_fraction: float = 0.5,
        final_fraction: float = FINAL_FRACTION,
        rounding: str = "ceil",
        **kwargs: Any,
    ):
        super().__init__(
            update_every=update_every,
            drop_fraction=drop_fraction,
            final_fraction=final_fraction,
            rounding=rounding,
            **kwargs,
        )
