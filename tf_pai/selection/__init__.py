"""Sparse selection: a subnet is found, and no weight is trained (survey 3.3); importing it registers the methods."""

from tf_pai.selection import runner  # noqa: F401, registers the track
from tf_pai.selection.construction import Constructed, Construction
from tf_pai.selection.deconstruct import Deconstruct
from tf_pai.selection.hidden import Hidden
from tf_pai.selection.layer import ScoredLayer
from tf_pai.selection.logarithmic import Logarithmic
from tf_pai.selection.mask_criteria import MASK_CRITERIA, act_on_pruned, mask_by
from tf_pai.selection.multi_prize import MultiPrize
from tf_pai.selection.one_shot import KEPT_ACTIONS, one_shot_supermask
from tf_pai.selection.proving import Proving
from tf_pai.selection.rule import Rule
from tf_pai.selection.select import select_subnet
from tf_pai.selection.supsup import Supermasks, SupSup

__all__ = [
    "KEPT_ACTIONS",
    "MASK_CRITERIA",
    "Constructed",
    "Construction",
    "Deconstruct",
    "Hidden",
    "Logarithmic",
    "MultiPrize",
    "Proving",
    "Rule",
    "ScoredLayer",
    "SupSup",
    "Supermasks",
    "act_on_pruned",
    "mask_by",
    "one_shot_supermask",
    "select_subnet",
]
