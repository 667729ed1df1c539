"""Dynamic masks as a track of `tf_pai.run`: random masks at the start, and a callback that moves them."""

from __future__ import annotations

import dataclasses
import inspect
from typing import Any

import keras

from tf_pai.callbacks.base import DynamicMasks
from tf_pai.compute import check_compute
from tf_pai.registry import METHODS, nearest
from tf_pai.static import prune_at_init
from tf_pai.training import RUNNERS, Job


def callback_of(method: str, sparsity: float | None, seed: int, options: dict[str, Any]) -> DynamicMasks:
    """Returns the callback of a registered dynamic method.

    Args:
        method: its name, e.g. "rigl".
        sparsity: what a method that starts dense prunes to; for others, that of the masks they start from.
        seed: of everything random.
        options: arguments of the callback.

    Raises:
        ValueError: an option that the callback does not take.

    Example:
        >>> callback_of("rigl", 0.9, 0, {"update_every": 50}).update_every
        50
    """
    make: Any = METHODS.find(method).make
    known = _options_of(make)
    for option in options:
        if option not in known:
            raise ValueError(
                f"Unknown option of {method!r}. Received: {option}={options[option]!r}."
                f"{nearest(option, sorted(known))} Valid options: {', '.join(sorted(known))}."
            )
    return make(seed=seed, **({"sparsity": sparsity} if make.starts_dense else {}), **options)


def _options_of(make: type[DynamicMasks]) -> set[str]:
    """The arguments that a callback takes, those that it hands on to its base classes included."""
    known: set[str] = set()
    for kind in make.__mro__:
        parameters = inspect.signature(vars(kind)["__init__"]).parameters.values() if "__init__" in vars(kind) else ()
        kinds = {parameter.kind for parameter in parameters}
        known |= {p.name for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)}
        if parameters and inspect.Parameter.VAR_KEYWORD not in kinds:
            break
    return known - {"self", "seed", "sparsity"}


@RUNNERS.register("dynamic")
def train_with_moving_masks(job: Job) -> keras.Model:
    """Trains with the job's method from random masks; one that starts dense from the dense model.

    Args:
        job: its options are those of the callback, and of `prune_at_init` for the random masks: `distribution` (default
            "erk") and `compute`.

    Raises:
        ValueError: an option that the callback does not take, or a `compute` that it does not work with.
    """
    options = dict(job.options)
    make: Any = METHODS.find(job.method).make
    compute = options.pop("compute", "masked")
    check_compute(compute)
    if compute != "masked" and not make.moves_sparse:
        raise ValueError(
            f"{make.__name__} moves masks of a model that has its pruned weights too. Received: compute={compute!r}. "
            'Leave compute="masked".'
        )
    distribution = "erk" if make.starts_dense else options.pop("distribution", "erk")
    callback = callback_of(job.method, job.sparsity, job.seed, options)
    model = job.model()
    if not make.starts_dense:
        choices: Any = {"distribution": distribution, "compute": compute, "seed": job.seed, "verbose": 0}
        model = prune_at_init(model, "random", job.sparsity, **choices)

    def callbacks(stage: str) -> list[keras.callbacks.Callback]:
        return [callback, *([] if job.callbacks is None else job.callbacks(stage))]

    dataclasses.replace(job, callbacks=callbacks).fit(model)
    return model
