"""What is checked before masks move; each message says the rule, what came, and what to do."""

from __future__ import annotations

import math
import numbers
import warnings
from fractions import Fraction
from typing import Any

import keras
import tensorflow as tf

from tf_pai.callbacks.rules import ROUNDINGS
from tf_pai.callbacks.schedule import DECAYS
from tf_pai.layers import SparseMask, held_masks, is_selected, prunable_weights, unwrapped, walk
from tf_pai.masks import sparsity
from tf_pai.registry import nearest


def check_owner(callback: Any, owner: Any) -> None:
    """Raises a ValueError where another callback moves the masks of the same model."""
    other = None if owner is None else owner()
    if other is not None and other is not callback:
        raise ValueError(
            "One callback moves the masks of a model. Received: "
            f"{type(callback).__name__} and {type(other).__name__} for the same model. Pass one of them."
        )


def check_begun(callback: Any) -> None:
    """Raises a ValueError where a loop has not said which model it trains, or has trained one that was not ready."""
    name = type(callback).__name__
    if getattr(callback, "model", None) is None:
        raise ValueError(f"{name}.step works on a model. Received: none. Call callback.begin(model) before the loop.")
    if callback.starts_dense or callback.dense_gradients:
        raise ValueError(
            f"{name} makes the model ready before the first batch is trained. Received: step() without begin(). Call "
            "callback.begin(model) before the loop, and trace the step after it."
        )


def check_labels(callback: Any, labels: Any) -> None:
    """Raises a ValueError where a loop gives no labels to differentiate the loss with."""
    if labels is None:
        raise ValueError(
            f"{type(callback).__name__} reads the gradient of the batch's loss. Received: y=None. Call step(x, y)."
        )


def check_model(callback: Any, model: Any) -> None:
    """Raises where the model is not one whose masks the callback can move."""
    name = type(callback).__name__
    if not isinstance(model, keras.Model) or not model.built:
        raise ValueError(f"{name} works on a built Keras model. Received: {type(model).__name__}. Build it first.")
    structures = (getattr(layer, "mask_structure", None) for _, layer in walk(model))
    structure = next(filter(None, structures), None)
    if structure is not None:
        raise ValueError(
            f"{name} moves single weights. Received: a model pruned with structure {structure}. "
            'Prune with structure="unstructured".'
        )
    sparse = {path: mask for path, mask in held_masks(model).items() if isinstance(mask, SparseMask)}
    if sparse and not callback.moves_sparse:
        raise ValueError(
            f"{name} moves masks of a model that has its pruned weights too. Received: a model that holds the "
            "kept ones only. Call tf_pai.to_dense(model), and compile again."
        )
    if not callback.starts_dense and sparsity(model) == 0:
        raise ValueError(
            f"{name} keeps a model sparse that is so from the start. Received: an unpruned model. Call "
            'tf_pai.prune_at_init(model, "random", 0.9, distribution="erk") first.'
        )
    masked = {path: mask.weight for path, mask in held_masks(model).items()}
    weights = masked or {path: weight.variable for path, weight in prunable_weights(model).items()}
    if not any(variable.trainable for variable in weights.values()):
        raise ValueError(
            f"{name} moves the masks of weights that are trained. Received: a model of which no prunable weight is. "
            + (
                "select_subnet froze them: train tf_pai.set_masks(tf_pai.strip(model), tf_pai.get_masks(model))."
                if is_selected(model)
                else "Set layer.trainable = True, and compile again."
            )
        )


def check_calls(callback: Any, model: Any) -> None:
    """Raises a ValueError where a layer was traced for itself: what a callback changes in it would not be seen."""
    if not (callback.reads_gradient or callback.dense_gradients or callback.keeps_dense_weights):
        return
    for layer in (model, *(unwrapped(layer) for _, layer in walk(model))):
        if isinstance(getattr(layer, "call", None), tf.types.experimental.PolymorphicFunction):
            raise ValueError(
                f"{type(callback).__name__} trains pruned weights, or reads their gradients, by tracing layers anew. "
                f"Received: {type(layer).__name__}.call, a tf.function. Take its decorator off: fit traces it anyway."
            )


def check_updates(callback: Any, updates: int, batches: int) -> None:
    """Raises a ValueError where a train_step updates the weights more than once."""
    if updates > batches:
        raise ValueError(
            f"{type(callback).__name__} counts one update of the weights per batch in fit. Received: {updates} of them "
            f"in {batches} batch(es), by a train_step of your own. Call callback.step(x, y) in a loop of your own."
        )


def check_graph(graph: Any) -> None:
    """Raises a ValueError where gradients are handed over in a part of the step that may not run."""
    if tf.compat.v1.get_default_graph() is not graph:
        raise ValueError(
            "Growing by gradients needs a train_step that calls optimizer.apply in any case. Received: one that calls "
            "it inside tf.cond or tf.while_loop. Call callback.step(x, y) in a loop of your own, or let "
            "keras.optimizers.LossScaleOptimizer skip steps."
        )


def check_optimizer(callback: Any) -> None:
    """Raises a ValueError where a learning rate is needed, and no optimizer has one."""
    if callback.optimizer is None:
        raise ValueError(
            f"{type(callback).__name__} reads the optimizer's learning rate. Received: a model without an optimizer. "
            "Compile it, or call callback.begin(model, optimizer)."
        )


def known_length(callback: Any, total: Fraction | None) -> Fraction:
    """Returns the steps of the training; raises a ValueError where they are needed and not known."""
    if total is None:
        raise ValueError(
            f"{type(callback).__name__} divides the training where its length is known. Received: end_step=None and "
            "training of unknown length. Pass end_step= in steps (and begin_step=), or steps_per_epoch= to fit."
        )
    return total


def is_number(value: Any) -> bool:
    """Tells whether a value is a finite real number, True and False not being any."""
    return isinstance(value, numbers.Real) and not isinstance(value, bool) and math.isfinite(value)


def check_not_negative(callback: Any, *names: str) -> None:
    """Raises a ValueError where an argument of these names is no number, or below 0."""
    for name in names:
        value = getattr(callback, name)
        if not is_number(value) or value < 0:
            raise ValueError(f"{name} is a number, 0 or more. Received: {name}={value!r}.")


def check_boolean(callback: Any, *names: str) -> None:
    """Raises a ValueError where an argument of these names is neither True nor False."""
    for name in names:
        if not isinstance(getattr(callback, name), bool):
            raise ValueError(f"{name} is True or False. Received: {name}={getattr(callback, name)!r}.")


def check_seed(callback: Any) -> None:
    """Raises a ValueError where the seed is no whole number, or negative."""
    seed = callback.seed
    if not isinstance(seed, numbers.Integral) or isinstance(seed, bool) or seed < 0:
        raise ValueError(f"seed is a whole number, 0 or more. Received: seed={seed!r}.")


def check_tile_size(callback: Any) -> None:
    """Raises a ValueError where the size of a tile is no whole number, or below 1."""
    size = callback.tile_size
    if not isinstance(size, numbers.Integral) or isinstance(size, bool) or size < 1:
        raise ValueError(f"tile_size is a whole number, 1 or more. Received: tile_size={size!r}.")


def check_schedule(callback: Any) -> None:
    """Raises a ValueError where the schedule makes no sense."""
    schedule = callback.schedule
    if schedule.every < 1:
        raise ValueError(
            f"update_every is at least one step. Received: update_every={callback.update_every!r}. Pass e.g. 100."
        )
    if schedule.end < max(schedule.begin, 1):
        raise ValueError(
            f"end_step comes after begin_step. Received: end_step={schedule.end} and begin_step={schedule.begin}. "
            "Pass a later end_step."
        )
    first = schedule.begin or schedule.every
    if first > schedule.end and not callback.is_due(schedule.end):
        warnings.warn(
            f"{type(callback).__name__} will not move any mask: the first update falls after step {first}, the last "
            f"after step {schedule.end}. Lower update_every or begin_step, or train longer.",
            stacklevel=2,
        )


def check_not_over(callback: Any, taken: int) -> None:
    """Warns where the schedule is over before it begins; raises a ValueError where the model would stay too dense.

    A default end moves with the steps of earlier fits.
    """
    if callback.end_step is None or taken < callback.schedule.end:
        return
    name, end = type(callback).__name__, callback.schedule.end
    cure = "Pass a later end_step, or compile the model again, which counts from 0."
    if callback.starts_dense and callback.is_short():
        raise ValueError(
            f"{name} prunes until end_step. Received: end_step={end} and an optimizer that has taken {taken} steps. "
            + cure
        )
    warnings.warn(
        f"{name} moves no mask any more: its end_step is {end}, and the optimizer has taken {taken} steps. Is this a "
        f"new training? {cure}",
        stacklevel=2,
    )


def check_fraction(callback: Any) -> None:
    """Raises a ValueError where the drop fraction or its decay makes no sense."""
    fraction = callback.drop_fraction
    if not is_number(fraction) or not 0 < fraction < 1:
        raise ValueError(f"drop_fraction lies in (0, 1). Received: drop_fraction={fraction!r}. Pass e.g. 0.3.")
    if not is_number(callback.final_fraction) or not 0 <= callback.final_fraction <= fraction:
        raise ValueError(
            "final_fraction lies between 0 and drop_fraction. Received: "
            f"final_fraction={callback.final_fraction!r} and drop_fraction={fraction!r}."
        )
    if not isinstance(callback.decay, str):
        raise ValueError(f"decay is one of {', '.join(DECAYS)}. Received: decay={callback.decay!r}.")
    DECAYS.find(callback.decay)
    if callback.rounding not in list(ROUNDINGS):
        raise ValueError(
            f"rounding is one of {', '.join(ROUNDINGS)}. Received: rounding={callback.rounding!r}."
            f"{nearest(str(callback.rounding), list(ROUNDINGS))}"
        )


def check_sparsity(callback: Any, needed: bool) -> None:
    """Raises a ValueError where the sparsity to reach is wrong, or missing though it is needed."""
    value = callback.sparsity
    if value is None and not needed:
        return
    if not is_number(value) or not 0 < value < 1:
        raise ValueError(
            f"{type(callback).__name__} prunes to a sparsity in (0, 1). Received: sparsity={value!r}. Pass e.g. 0.9."
        )
