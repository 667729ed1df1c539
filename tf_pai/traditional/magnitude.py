"""Magnitude pruning after training: train, prune, finetune (survey, section 1)."""

from __future__ import annotations

import keras

from tf_pai.registry import register_method
from tf_pai.schedules import Iterative
from tf_pai.static import prune_at_init
from tf_pai.traditional.dense import refuse_options
from tf_pai.training import Job


@register_method(
    "magnitude_after_training",
    survey_name="Magnitude (TP)",
    year=2015,
    reference="Han et al., NeurIPS 2015",
    track="traditional",
    table_row="Table 1, row 1",
    k1="K",
    k2="K",
)
def magnitude_after_training(job: Job) -> keras.Model:
    """Prunes what is trained: w* = f3(f1(w_K; D) * w_K; D), f1 = keep the highest |w|.

    The dense model is trained for `job.epochs`; then, in each round, it is pruned by |w| and finetuned, with a new
    optimizer: training takes (1 + rounds) times the epochs of a dense run unless `finetune_epochs` says less.

    Args:
        job: its options are `rounds` (1: one shot; more: the density falls exponentially, with finetuning after
            each round), `finetune_epochs` (per round; default: the job's) and `distribution` (default "global").

    Reference: Han et al. 2015, "Learning both weights and connections", section 3; one-shot and iterative.
    Differs from the paper in: one global threshold, where the paper has one per layer, a multiple of the deviation.
    """
    options = refuse_options(job, {"rounds": 1, "finetune_epochs": None, "distribution": "global"})
    model = job.model()
    densities = Iterative(options["rounds"]).densities(1 - float(job.sparsity or 0.0), total=0)
    job.fit(model, "dense")
    for number, density in enumerate(densities, start=1):
        model = prune_at_init(
            with_new_optimizer(job, model),
            "magnitude",
            1 - density,
            distribution=options["distribution"],
            seed=job.seed,
            verbose=0,
        )
        job.fit(model, f"finetune{number}", options["finetune_epochs"])
    return model


def with_new_optimizer(job: Job, model: keras.Model) -> keras.Model:
    """Compiles `model` as the job's models are: at step 0 of the learning-rate schedule, without moments."""
    fresh = job.model()
    config = fresh._compile_config.config
    model.compile(**{**config, "optimizer": fresh.optimizer})
    return model
