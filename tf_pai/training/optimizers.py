"""Optimizers and learning-rate schedules by name, for experiments."""

from __future__ import annotations

import inspect
from typing import Any

import keras

from tf_pai.registry import Registry

OPTIMIZERS: Registry[type[keras.optimizers.Optimizer]] = Registry("optimizer")
SCHEDULES: Registry[Any] = Registry("learning-rate schedule")

_WRAPPERS = ("Optimizer", "LossScaleOptimizer", "MultiOptimizer")  # the base class, and optimizers around others
for _name, _class in vars(keras.optimizers).items():
    is_optimizer = inspect.isclass(_class) and issubclass(_class, keras.optimizers.Optimizer)
    if is_optimizer and _name not in _WRAPPERS:
        OPTIMIZERS.register(_name.lower())(_class)


@SCHEDULES.register("constant")
def constant(lr: float, steps: int) -> float:
    """Returns lr at every step."""
    return lr


@SCHEDULES.register("cosine")
def cosine(lr: float, steps: int) -> keras.optimizers.schedules.LearningRateSchedule:
    """Returns lr (1 + cos(pi t / steps)) / 2 at step t: from lr to 0 (Loshchilov & Hutter, ICLR 2017, eq. 5)."""
    return keras.optimizers.schedules.CosineDecay(lr, steps)


@SCHEDULES.register("drops")
def drops(lr: float, steps: int) -> keras.optimizers.schedules.LearningRateSchedule:
    """Returns lr, a tenth of it from half of the steps on, a hundredth from three quarters on (He et al. 2016)."""
    return keras.optimizers.schedules.PiecewiseConstantDecay([steps // 2, steps * 3 // 4], [lr, lr / 10, lr / 100])


def build_optimizer(
    name: str = "sgd",
    lr: float = 0.05,
    schedule: str = "constant",
    steps: int | None = None,
    momentum: float = 0.0,
    **options: Any,
) -> keras.optimizers.Optimizer:
    """Returns an optimizer of Keras.

    Args:
        name: its class name in `keras.optimizers`, in small letters: "sgd", "adam", ...
        lr: the learning rate at step 0.
        schedule: "constant", "cosine" or "drops".
        steps: number of steps of the whole training, for schedules that are not constant.
        momentum: in [0, 1), of optimizers that have one (sgd, rmsprop, muon); 0 for their own default.
        **options: other arguments of the optimizer, e.g. `nesterov=True`.

    Raises:
        ValueError: an unknown name, a learning rate that is not positive, a momentum that the optimizer does not
            take, a schedule without steps.

    Example:
        >>> optimizer = build_optimizer("sgd", 0.05, schedule="cosine", steps=100, momentum=0.9)
        >>> round(float(optimizer.learning_rate), 3)
        0.05
    """
    kind, make_rate = OPTIMIZERS.find(name), SCHEDULES.find(schedule)
    if not lr > 0:
        raise ValueError(f"A learning rate is above 0. Received: lr={lr!r}.")
    if schedule != "constant" and (steps is None or steps < 1):
        raise ValueError(f"The schedule {schedule!r} spans the training. Received: steps={steps!r}. Pass its steps.")
    if momentum:
        _check_momentum(name, kind, momentum)
        options = {"momentum": momentum, **options}
    return kind(learning_rate=make_rate(lr, steps or 0), **options)


def _check_momentum(name: str, kind: type[keras.optimizers.Optimizer], momentum: float) -> None:
    if not 0 <= momentum < 1:
        raise ValueError(f"A momentum is in [0, 1). Received: momentum={momentum!r}.")
    if "momentum" not in inspect.signature(kind).parameters:
        takers = [n for n in OPTIMIZERS if "momentum" in inspect.signature(OPTIMIZERS.find(n)).parameters]
        raise ValueError(
            f"{', '.join(takers)} take a momentum. Received: momentum={momentum!r} for {name!r}. Pass momentum=0."
        )
