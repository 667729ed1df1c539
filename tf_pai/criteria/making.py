"""The problem that a criterion is asked about: the user's data or random ones, as many as memory allows, checked."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from tf_pai.criteria import losses
from tf_pai.criteria.base import Criterion
from tf_pai.criteria.data import SYNTHETIC_BATCH, as_arrays, batches_of, random_inputs, warn_about_missing_data
from tf_pai.criteria.memory import examples_that_fit, micro_batch
from tf_pai.criteria.problem import Problem
from tf_pai.layers import PrunableWeight


def make_problem(
    model: keras.Model,
    weights: dict[str, PrunableWeight],
    criterion: Criterion,
    *,
    data: Any = None,
    loss: Any = None,
    batches: int | None = None,
    seed: int = 0,
) -> Problem:
    """Returns the problem that `criterion` is asked about.

    Args:
        model: a built model.
        weights: the weights that take part.
        criterion: what will score them; says whether data and labels are needed.
        data: see `tf_pai.prune_at_init`; random inputs and labels where None.
        loss: see `tf_pai.prune_at_init`.
        batches: how many batches of a dataset; None for the criterion's own number.
        seed: of everything random.

    Raises:
        ValueError: no example; labels that do not fit the loss, or none; batch statistics of a batch too large.
        TypeError: data of another type.
    """
    problem = Problem(model, weights, seed=seed)
    if not criterion.needs_data:
        return problem
    if data is None:
        warn_about_missing_data(repr(criterion))
        data = _random_data(problem, loss)
    problem.batches = batches_of(data, batches or criterion.batches, _piece(model, criterion, data))
    if criterion.needs_labels:
        _set_loss(problem, criterion, loss)
    return problem


def _piece(model: keras.Model, criterion: Criterion, data: Any) -> int | None:
    """How many examples of a pair of arrays are scored at a time; None for all, and for datasets."""
    if not isinstance(data, (tuple, list)) or len(data) not in (2, 3):
        return None
    return micro_batch(model, as_arrays(data)[0], criterion.training)


def _set_loss(problem: Problem, criterion: Criterion, loss: Any) -> None:
    """Finds the loss, and checks every batch's labels against it."""
    first = problem.batches[0]
    if first.y is None:
        raise ValueError(f"{criterion!r} needs labels. Received: y=None. Pass data=(x, y).")
    outputs = problem.outputs(problem.tensors(), keras.tree.map_structure(lambda v: v[:2], first.x))
    labels = keras.tree.map_structure(lambda v: v[:2], first.y)
    problem.loss = losses.find_loss(problem.model, loss, labels, outputs)
    for batch in problem.batches:
        losses.check_labels(problem.loss, batch.y, _for_examples(outputs, len(keras.tree.flatten(batch.y)[0])))


def _for_examples(outputs: Any, count: int) -> Any:
    """The shapes of the outputs for `count` examples."""
    return keras.tree.map_structure(lambda out: tf.TensorSpec((count, *out.shape[1:]), out.dtype), outputs)


def _random_data(problem: Problem, loss: Any) -> tuple[Any, Any]:
    """As many random examples as fit, up to `SYNTHETIC_BATCH`, with labels that fit the loss."""
    generator = problem.generator()
    x = random_inputs(problem.model, SYNTHETIC_BATCH, generator)
    count = min(SYNTHETIC_BATCH, examples_that_fit(problem.model, x))
    x = keras.tree.map_structure(lambda v: v[:count], x)
    outputs = problem.outputs(problem.tensors(), keras.tree.map_structure(lambda v: v[:1], x))
    known = loss is not None or (problem.model.compiled and problem.model._compile_loss is not None)
    compiled = losses.find_loss(problem.model, loss, None, outputs) if known else None
    return x, losses.random_labels(compiled, problem.activation, _for_examples(outputs, count), generator)
