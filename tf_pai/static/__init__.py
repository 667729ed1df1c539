"""Static masks, chosen at initialization (survey 3.2, "pre-selected"); importing it registers the methods."""

from tf_pai.static import (
    ai,
    force,
    grasp,
    iter_snip,
    magnitude,
    ntk_sap,
    obd,
    phew,
    prospr,
    random,
    random_tickets,
    skeletonization,
    snip,
    synflow,
    taylor_fo,
)
from tf_pai.static.isometry import approximate_isometry
from tf_pai.static.prune import prune_at_init, score

__all__ = [
    "ai",
    "approximate_isometry",
    "force",
    "grasp",
    "iter_snip",
    "magnitude",
    "ntk_sap",
    "obd",
    "phew",
    "prospr",
    "prune_at_init",
    "random",
    "random_tickets",
    "score",
    "skeletonization",
    "snip",
    "synflow",
    "taylor_fo",
]
