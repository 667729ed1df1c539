"""Training that can be killed at any moment, for every track."""

from tf_pai.training.batches import Batches, batches_of
from tf_pai.training.fit import fit
from tf_pai.training.optimizers import OPTIMIZERS, SCHEDULES, build_optimizer
from tf_pai.training.runners import RUNNERS, Job

__all__ = ["OPTIMIZERS", "RUNNERS", "SCHEDULES", "Batches", "Job", "batches_of", "build_optimizer", "fit"]
