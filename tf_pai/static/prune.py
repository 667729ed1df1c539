"""prune_at_init: scores, masks, and the model that holds them."""

from __future__ import annotations

import time
import warnings
from typing import Any

import keras
import numpy as np

from tf_pai.compute import check_compute, to_sparse
from tf_pai.criteria import Criterion
from tf_pai.criteria.making import make_problem
from tf_pai.layers import participating, prunable_layers
from tf_pai.masks import get_masks, set_masks
from tf_pai.records import Record, remember, score_histogram
from tf_pai.static import method as methods
from tf_pai.static.checks import check_model, check_randomness, check_scores
from tf_pai.static.filters import with_companions
from tf_pai.static.plan import Masks, Plan, Weights, make_plan
from tf_pai.structures import Filter, Unstructured


def prune_at_init(
    model: keras.Model,
    method: str | Criterion = "snip",
    sparsity: float | None = None,
    *,
    data: Any = None,
    loss: Any = None,
    batches: int | None = None,
    distribution: Any = None,
    structure: Any = None,
    schedule: Any = None,
    min_keep: int = 0,
    compute: str = "masked",
    include: Any = None,
    exclude: Any = None,
    seed: int | None = None,
    verbose: Any = "auto",
) -> keras.Model:
    """Prunes a model at initialization: w' = f1(w0; D) * w0 (survey, eq. 2 with k1 = k2 = 0).

    Args:
        model: a built Keras 3 model. Sequential and functional models are rebuilt, and the original is untouched;
            a subclassed model has its layers wrapped in place.
        method: a name of `tf_pai.list_methods("static")`, or a criterion: `tf_pai.criteria.GraSP(temperature=100)`.
        sparsity: fraction of the weights that take part to remove, in [0, 1); default 0.9, or what "N:M" says.
        data: `tf.data.Dataset` of (x, y) batches, a pair (x, y) of arrays (one logical batch), or a
            `keras.utils.PyDataset`; without it, data-driven methods score on random inputs, and warn.
        loss: a Keras loss; default: the compiled one, else the one that fits the output activation.
        batches: how many batches of a dataset the score uses; default: the method's own number.
        distribution: "global", "uniform", "erk", "er", {path pattern: sparsity}, or an object of
            `tf_pai.distributions`; default: the method's own.
        structure: "unstructured", "N:M" along the input axis, "block:RxC" (inputs x outputs), "filter", or an object
            of `tf_pai.structures`.
        schedule: "one_shot", "iterative:ROUNDS" (exponential), an object of `tf_pai.schedules`, or a tfmot or Keras
            schedule; default: the method's own.
        min_keep: number of weights that no layer falls below.
        compute: "masked": pruned weights are zeros in dense arrays; "sparse": layers that can, hold and compute with
            their kept weights only (see `to_sparse`); "auto": those that are measured to be faster so.
        include: pattern or patterns (fnmatch) of paths of weights or layers to prune; default: all.
        exclude: pattern or patterns of those to leave dense.
        seed: of everything random; the same seed gives the same mask, bit for bit.
        verbose: "auto" for a progress bar in a terminal when there are many rounds, 1 for a bar and the
            table of `tf_pai.summary`, 0 for neither.

    Returns:
        A model of the same inputs, outputs and weight values, pruned weights zero, compiled if `model` was.

    Raises:
        ValueError: a wrong argument, always before anything is changed.
        TypeError: no Keras 3 model, or data or method of the wrong type.

    Example:
        >>> import keras, tf_pai
        >>> model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(4), keras.layers.Dense(2)])
        >>> model = tf_pai.prune_at_init(model, "synflow", 0.8)
        >>> round(tf_pai.sparsity(model), 2)
        0.8
    """
    check_model(model)
    check_randomness(seed, batches)
    check_compute(compute)
    recipe = methods.get(method)
    plan = make_plan(model, recipe, sparsity, distribution, structure, schedule, min_keep, include, exclude)
    seed = _fresh_seed() if seed is None else seed
    began = time.perf_counter()
    problem = make_problem(model, plan.weights, plan.criterion, data=data, loss=loss, batches=batches, seed=seed)
    masks, scores = plan.masks(problem, _masks_so_far(model, plan.weights), verbose)
    _warn_about_emptied(masks)
    record = _record(method, plan, seed, time.perf_counter() - began, score_histogram(scores, masks))
    del scores
    if isinstance(plan.structure, Filter):
        masks = with_companions(model, plan.weights, masks)
    pruned = set_masks(model, masks)
    remember(pruned, record)
    for layer in prunable_layers(pruned).values():
        layer.mask_structure = None if isinstance(plan.structure, Unstructured) else repr(plan.structure)
    if recipe.transform is not None:
        recipe.transform(pruned, masks, seed)
    if compute != "masked":
        pruned = to_sparse(pruned, compute)
    if verbose == 1:
        from tf_pai.reporting import summary

        summary(pruned)
    return pruned


def score(
    model: keras.Model,
    method: str | Criterion,
    *,
    data: Any = None,
    loss: Any = None,
    batches: int | None = None,
    seed: int | None = None,
) -> dict[str, np.ndarray]:
    """Returns the raw scores of all prunable weights, higher = keep; the model is untouched.

    Args:
        model: a built Keras 3 model; of a pruned one, the pruned network is scored.
        method: a name of `tf_pai.list_methods("static")`, or a criterion.
        data: as in `prune_at_init`.
        loss: as in `prune_at_init`.
        batches: as in `prune_at_init`.
        seed: of everything random.

    Example:
        >>> import keras, tf_pai
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, kernel_initializer="ones", name="fc")])
        >>> tf_pai.score(model, "magnitude")["fc/kernel"].ravel().tolist()
        [1.0, 1.0]
    """
    check_model(model)
    check_randomness(seed, batches)
    criterion, weights = methods.get(method).criterion, participating(model)
    seed = _fresh_seed() if seed is None else seed
    problem = make_problem(model, weights, criterion, data=data, loss=loss, batches=batches, seed=seed)
    return check_scores(criterion, criterion.score(problem, _masks_so_far(model, weights)))


def _masks_so_far(model: keras.Model, weights: Weights) -> Masks:
    existing = get_masks(model)
    return {path: existing.get(path, np.ones(weight.shape, bool)) for path, weight in weights.items()}


def _record(method: Any, plan: Plan, seed: int, seconds: float, histogram: Any) -> Record:
    choices = {name: repr(getattr(plan, name)) for name in ("criterion", "structure", "distribution", "schedule")}
    name = method if isinstance(method, str) else repr(method)
    return Record(name, 1 - plan.density, {**choices, "seed": seed}, plan.asked(), seconds, histogram)


def _fresh_seed() -> int:
    """A seed from Keras' global generator, so that `keras.utils.set_random_seed` makes a whole script repeatable."""
    return int(np.random.randint(2**31))


def _warn_about_emptied(masks: Masks) -> None:
    emptied = [path for path, mask in masks.items() if not mask.any()]
    if emptied:
        warnings.warn(
            f"Pruning emptied {', '.join(emptied)}: no signal passes. Pass min_keep=1, another distribution, "
            "or a lower sparsity.",
            stacklevel=3,
        )
