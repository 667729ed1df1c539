"""Dynamic masks: sparse training whose topology moves (survey 3.2, Table 3), as Keras callbacks."""

from tf_pai.callbacks import rules, schedule
from tf_pai.callbacks.acdc import ACDC
from tf_pai.callbacks.base import DynamicMasks
from tf_pai.callbacks.deepr import DeepR
from tf_pai.callbacks.dns import DNS
from tf_pai.callbacks.dsr import DSR
from tf_pai.callbacks.granet import GraNet
from tf_pai.callbacks.itop import SETITOP, RigLITOP
from tf_pai.callbacks.mest import MEST
from tf_pai.callbacks.rigl import RigL
from tf_pai.callbacks.run import callback_of
from tf_pai.callbacks.set import SET
from tf_pai.callbacks.snfs import SNFS
from tf_pai.callbacks.topkast import TopKAST

__all__ = [
    "ACDC",
    "DNS",
    "DSR",
    "MEST",
    "SET",
    "SETITOP",
    "SNFS",
    "DeepR",
    "DynamicMasks",
    "GraNet",
    "RigL",
    "RigLITOP",
    "TopKAST",
    "callback_of",
    "rules",
    "schedule",
]
