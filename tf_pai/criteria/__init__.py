"""Pruning criteria: *which* weights stay (survey 2.2, topic 3; Table 2)."""

from tf_pai.criteria.base import Criterion
from tf_pai.criteria.force import FORCE
from tf_pai.criteria.grasp import GraSP
from tf_pai.criteria.iter_snip import IterSNIP
from tf_pai.criteria.magnitude import Magnitude
from tf_pai.criteria.ntk_sap import NTKSAP
from tf_pai.criteria.obd import OBD
from tf_pai.criteria.phew import PHEW
from tf_pai.criteria.prospr import ProsPr
from tf_pai.criteria.random import Random
from tf_pai.criteria.skeletonization import Skeletonization
from tf_pai.criteria.snip import SNIP
from tf_pai.criteria.synflow import SynFlow
from tf_pai.criteria.taylor_fo import TaylorFO

__all__ = [
    "FORCE",
    "NTKSAP",
    "OBD",
    "PHEW",
    "SNIP",
    "Criterion",
    "GraSP",
    "IterSNIP",
    "Magnitude",
    "ProsPr",
    "Random",
    "Skeletonization",
    "SynFlow",
    "TaylorFO",
]
