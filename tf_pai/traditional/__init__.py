"""Pruning after or during training: the baselines that pruning at initialization is measured against.

A method of this track is a function that takes a `tf_pai.training.Job` and returns the trained model.
"""

import keras

from tf_pai.registry import METHODS
from tf_pai.traditional import dense, magnitude, tfmot_magnitude  # noqa: F401, each registers its method
from tf_pai.training import RUNNERS, Job


@RUNNERS.register("traditional")
def run_traditional(job: Job) -> keras.Model:
    """Runs the function that is registered under the job's method."""
    return METHODS.find(job.method).make(job)
