"""What is checked before masks move; each message says the rule, what came, and what to do."""

from __future__ import annotations

from typing import Any

import keras

from tf_pai.callbacks.rules import ROUNDINGS
from tf_pai.callbacks.schedule import DECAYS
from tf_pai.masks import sparsity
from tf_pai.records import record_of
from tf_pai.registry import nearest


def check_owner(callback: Any, owner: Any) -> None:
    """Raises a ValueError where another callback moves the masks of the same model."""
    other = None if owner is None else owner()
    if other is not None and other is not callback:
        raise ValueError(
            "One callback moves the masks of a model. Received: "
            f"{type(callback).__name__} and {type(other).__name__} for the same model. Pass one of them."
        )


def check_model_set(callback: Any) -> None:
    """Raises a ValueError where a loop has not said which model it trains."""
    if getattr(callback, "model", None) is None:
        raise ValueError(
            f"{type(callback).__name__}.step works on a model. Received: none. Call callback.set_model(model) first."
        )


def check_model(callback: Any, model: Any) -> None:
    """Raises where the model is not one whose masks the callback can move."""
    name = type(callback).__name__
    if not isinstance(model, keras.Model) or not model.built:
        raise ValueError(f"{name} works on a built Keras model. Received: {type(model).__name__}. Build it first.")
    record = record_of(model)
    structure = "unstructured" if record is None else str(record.choices.get("structure", "unstructured"))
    if structure != "unstructured":
        raise ValueError(
            f"{name} moves single weights. Received: a model pruned with structure {structure}. "
            'Prune with structure="unstructured".'
        )
    if not callback.starts_dense and sparsity(model) == 0:
        raise ValueError(
            f"{name} keeps a model sparse that is so from the start. Received: an unpruned model. Call "
            'tf_pai.prune_at_init(model, "random", 0.9, distribution="erk") first.'
        )


def known_length(callback: Any, total: int | None) -> int:
    """Returns the steps of the training; raises a ValueError where they are needed and not known."""
    if total is None:
        raise ValueError(
            f"{type(callback).__name__} divides the training where its length is known. Received: end_step=None and "
            "training of unknown length. Pass end_step= in steps (and begin_step=), or steps_per_epoch= to fit."
        )
    return total


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


def check_fraction(callback: Any) -> None:
    """Raises a ValueError where the drop fraction or its decay makes no sense."""
    fraction = callback.drop_fraction
    if isinstance(fraction, bool) or not isinstance(fraction, (int, float)) or not 0 < fraction < 1:
        raise ValueError(f"drop_fraction lies in (0, 1). Received: drop_fraction={fraction!r}. Pass e.g. 0.3.")
    if not 0 <= callback.final_fraction <= fraction:
        raise ValueError(
            "final_fraction lies between 0 and drop_fraction. Received: "
            f"final_fraction={callback.final_fraction!r} and drop_fraction={fraction!r}."
        )
    DECAYS.find(callback.decay)
    if callback.rounding not in ROUNDINGS:
        raise ValueError(
            f"rounding is one of {', '.join(ROUNDINGS)}. Received: rounding={callback.rounding!r}."
            f"{nearest(str(callback.rounding), list(ROUNDINGS))}"
        )


def check_sparsity(callback: Any, needed: bool) -> None:
    """Raises a ValueError where the sparsity to reach is wrong, or missing though it is needed."""
    value = callback.sparsity
    if value is None and not needed:
        return
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < 1:
        raise ValueError(
            f"{type(callback).__name__} prunes to a sparsity in (0, 1). Received: sparsity={value!r}. Pass e.g. 0.9."
        )
