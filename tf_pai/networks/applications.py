"""Every model of `keras.applications`, under the name `applications:NAME`, e.g. `applications:EfficientNetB0`.

The reference of each is in its page of https://keras.io/api/applications. Weights are random, the outputs logits.
"""

from __future__ import annotations

import contextlib
import inspect
import random
from collections.abc import Callable, Iterator
from typing import Any

import keras

from tf_pai.networks.blueprint import Blueprint, require
from tf_pai.registry import Registry

PREFIX = "applications:"
SET_BY_BUILD = {
    "alpha",
    "classes",
    "classifier_activation",
    "include_top",
    "input_shape",
    "input_tensor",
    "name",
    "pooling",
    "weights",
}
DECAYING = ("kernel", "bias", "depthwise", "pointwise")


def _all_applications() -> Registry[Callable[..., keras.Model]]:
    found: Registry[Callable[..., keras.Model]] = Registry("model of keras.applications")
    for name, entry in vars(keras.applications).items():
        if inspect.isfunction(entry):
            found.register(name)(entry)
    return found


APPLICATIONS = _all_applications()


def options_of(name: str) -> list[str]:
    """Returns the options that the application called `name` (without the prefix) takes beyond those of `build`."""
    return sorted(set(inspect.signature(APPLICATIONS.find(name)).parameters) - SET_BY_BUILD)


def build_application(net: Blueprint, **options: Any) -> keras.Model:
    """Builds the model of keras.applications that `net.name` names, with random weights and logits.

    Args:
        net: sizes, decay and seed; `width` is the alpha of those that have one, the MobileNets.
        **options: the application's own, e.g. `include_preprocessing=False`.

    Raises:
        ValueError: Keras refuses these sizes or options, e.g. images below the application's minimum.
    """
    name = net.name.removeprefix(PREFIX)
    make = APPLICATIONS.find(name)
    arguments = {"input_shape": net.input_shape, "classes": net.classes, **_alpha(name, net), **options}
    with _python_random_state_kept() if net.seed is not None else contextlib.nullcontext():
        try:
            model = make(weights=None, classifier_activation=None, **arguments)
        except ValueError as error:
            shown = ", ".join(f"{key}={value!r}" for key, value in arguments.items())
            raise ValueError(
                f"Keras refuses to build {net.name}: {error} Received: {shown}. "
                "Change what it names, e.g. give larger images, or choose another application."
            ) from error
        return model if net.seed is None and not net.weight_decay else _remade(model, net)


def _alpha(name: str, net: Blueprint) -> dict[str, float]:
    scalable = [other for other in APPLICATIONS if "alpha" in inspect.signature(APPLICATIONS.find(other)).parameters]
    if name in scalable:
        return {"alpha": net.width}
    advice = f"Leave width at 1.0, or choose one of {', '.join(PREFIX + other for other in scalable)}."
    require(net.width == 1, f"keras.applications.{name} has one width only.", advice, width=net.width)
    return {}


def _remade(model: keras.Model, net: Blueprint) -> keras.Model:
    """Returns the model made anew, each layer with its own seed and the weight decay."""
    # Numbers, not names: Keras counts the layers it names itself over all models of the process.
    numbers = {id(layer): number for number, layer in enumerate(model.layers)}

    def remake(layer: Any) -> Any:
        if id(layer) not in numbers:  # an operation such as `Add`, which has no weights
            return layer
        return type(layer).from_config(_decayed_and_seeded(layer.get_config(), net, numbers[id(layer)]))

    return keras.models.clone_model(model, clone_function=remake)


def _decayed_and_seeded(config: dict[str, Any], net: Blueprint, number: int) -> dict[str, Any]:
    for key, value in config.items():
        if key.endswith("_initializer") and "seed" in value["config"]:
            value["config"]["seed"] = net.seed_of(f"{number}/{key}")
        elif key.removesuffix("_regularizer") in DECAYING and net.weight_decay:
            config[key] = net.decay()
        elif key == "seed":
            config[key] = net.seed_of(f"{number}/{key}")
    return config


@contextlib.contextmanager
def _python_random_state_kept() -> Iterator[None]:
    """Undoes what Keras draws from Python's `random` for the seeds of initializers that are given none."""
    state = random.getstate()
    try:
        yield
    finally:
        random.setstate(state)
