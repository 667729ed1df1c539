"""Learning-rate schedules over another number of steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras

from tf_pai.layers.optimizers import copy_optimizer, optimizers_of
from tf_pai.tickets.bench import Bench

_IN_STEPS = ("decay_steps", "first_decay_steps", "warmup_steps", "boundaries")
_OTHER = {"initial_learning_rate", "alpha", "values", "name", "warmup_target", "decay_rate", "staircase", "power"}
_OTHER |= {"end_learning_rate", "cycle", "t_mul", "m_mul"}


def stretched_bench(bench: Bench, factor: float) -> Bench:
    """Returns a bench on the same network and data whose learning rate takes `factor` times as many steps.

    Raises:
        ValueError: a schedule whose steps are not known.
    """
    return _with_rate(bench, lambda rate: stretched(rate, factor))


def bench_at_rate(bench: Bench, rate: float) -> Bench:
    """Returns a bench on the same network and data at another learning rate: of a schedule, at its first step.

    Raises:
        ValueError: a schedule without an `initial_learning_rate`.
    """

    def changed(old: Any) -> Any:
        if not isinstance(old, dict):
            return rate
        if "initial_learning_rate" not in old["config"]:
            raise ValueError(
                f"A schedule with an initial_learning_rate is started elsewhere. Received: {old['class_name']}. "
                "Leave learning_rates out."
            )
        return {**old, "config": {**old["config"], "initial_learning_rate": rate}}

    return _with_rate(bench, changed)


def _with_rate(bench: Bench, change: Callable[[Any], Any]) -> Bench:
    new = Bench(bench.model, bench.routine, list(bench.dense()), bench.folder)
    inner = optimizers_of(bench.model.optimizer)[0]
    rate = change(keras.saving.serialize_keras_object(inner)["config"]["learning_rate"])
    if isinstance(rate, dict):
        rate = type(inner._learning_rate).from_config(rate["config"])
    new.compile(copy_optimizer(bench.model.optimizer, learning_rate=rate))
    return new


def stretched(rate: Any, factor: float) -> Any:
    """Returns a serialized learning rate, its steps multiplied.

    Args:
        rate: a number, or a schedule of Keras as `keras.saving.serialize_keras_object` gives it.
        factor: what its steps are multiplied with.

    Raises:
        ValueError: a schedule whose steps are not known.

    Example:
        >>> import keras
        >>> rate = keras.saving.serialize_keras_object(keras.optimizers.schedules.CosineDecay(0.1, 100))
        >>> stretched(rate, 0.5)["config"]["decay_steps"]
        50
    """
    if not isinstance(rate, dict):
        return rate
    config = dict(rate["config"]) if isinstance(rate["config"], dict) else {}
    unknown = [name for name in config if name not in {*_IN_STEPS, *_OTHER}]
    if unknown or not {*_IN_STEPS} & {*config}:
        raise ValueError(
            f"Keras' own schedules can be stretched. Received: {rate['class_name']} with "
            f"{', '.join(unknown) or 'none'}. Use one of keras.optimizers.schedules, or a number."
        )
    for name in _IN_STEPS:
        if config.get(name):
            steps = config[name]
            longer = [max(1, round(s * factor)) for s in keras.tree.flatten(steps)]
            config[name] = longer if isinstance(steps, list) else longer[0]
    return {**rate, "config": config}
