"""The optimizers that do the work behind the one a model is compiled with."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from typing import Any

import keras

# Those that change each weight by its own gradient, weight and slots only.
ELEMENT_WISE = tuple(
    getattr(keras.optimizers, name)
    for name in ("SGD", "Adam", "AdamW", "Adamax", "Nadam", "RMSprop", "Adagrad", "Adadelta", "Lion", "Ftrl")
)


def optimizers_of(optimizer: Any) -> list[Any]:
    """Returns the optimizers that do the work: behind loss scaling, and of each group of weights.

    Args:
        optimizer: any Keras optimizer, or None.

    Example:
        >>> [type(o).__name__ for o in optimizers_of(keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD()))]
        ['SGD']
    """
    inner = getattr(optimizer, "inner_optimizer", None)
    children = [inner] if inner is not None else list(getattr(optimizer, "optimizers", []))
    if not children:
        return [] if optimizer is None else [optimizer]
    return [leaf for child in children for leaf in optimizers_of(child)]


def parallel_slots(optimizer: Any, weight: Any) -> list[Any]:
    """Returns the variables of the weight's shape that an optimizer holds for it in lists that run parallel to its own.

    Args:
        optimizer: any Keras optimizer, or None.
        weight: a weight.
    """
    found = []
    for leaf in optimizers_of(optimizer):
        known = leaf._trainable_variables if leaf.built else []
        places = [i for i, other in enumerate(known) if other is weight]
        for slots in list(vars(leaf).values()):
            if isinstance(slots, list) and len(slots) == len(known) and slots is not known:
                found += [slots[i] for i in places if getattr(slots[i], "shape", None) == weight.shape]
    return found


def averages_of(optimizer: Any, variable: Any) -> list[keras.Variable]:
    """Returns the moving averages of a weight that an optimizer with `use_ema` holds.

    Args:
        optimizer: any built Keras optimizer, or None.
        variable: a weight.
    """
    return [
        leaf._model_variables_moving_average[leaf._get_variable_index(variable)]
        for leaf in optimizers_of(optimizer)
        if leaf.use_ema and leaf.built and leaf._var_key(variable) in leaf._trainable_variables_indices
    ]


def copy_optimizer(optimizer: Any, **changes: Any) -> Any:
    """Returns an optimizer of the same configuration, before its first step.

    A schedule of the learning rate, which has no state, is the same object: Keras finds no class of the user's by name.

    Args:
        optimizer: any Keras optimizer.
        changes: what is otherwise in the configuration of the one that does the work.
    """
    config = optimizer.get_config()
    if getattr(optimizer, "inner_optimizer", None) is not None:
        inner = copy_optimizer(optimizer.inner_optimizer, **changes)
        return type(optimizer)(inner, **{name: value for name, value in config.items() if name != "inner_optimizer"})
    if callable(getattr(optimizer, "_learning_rate", None)):
        config["learning_rate"] = optimizer._learning_rate
    return type(optimizer).from_config({**config, **changes})


def keep_exclusions(old: Any, new: Any, pairs: Iterable[tuple[Any, Any]]) -> None:
    """Excludes from weight decay what another optimizer excludes, which its configuration does not say.

    Args:
        old: a Keras optimizer, or None.
        new: one of the same kind, not built yet.
        pairs: (weight of the old one, weight of the new one).
    """
    pairs = list(pairs)
    for source, target in zip(optimizers_of(old), optimizers_of(new), strict=False):
        decays = getattr(source, "weight_decay", None) is not None
        excluded = [after for before, after in pairs if decays and not source._use_weight_decay(before)]
        if excluded:
            target.exclude_from_weight_decay(var_list=excluded)


def start_anew(optimizer: Any) -> None:
    """Sets the state of an optimizer to what it was before its first step; its learning rate stays.

    Args:
        optimizer: one that does the work itself; nothing happens where it is not built.
    """
    if not optimizer.built:
        return
    fresh = copy_optimizer(optimizer)  # not all states begin at 0
    fresh.build(optimizer._trainable_variables)
    for variable, first in zip(optimizer.variables, fresh.variables, strict=True):
        if variable is not optimizer._learning_rate:
            variable.assign(first)


def loss_scale_of(optimizer: Any) -> Any:
    """Returns what an optimizer multiplies a loss by before it is differentiated; 1 where it does not.

    Args:
        optimizer: a built Keras optimizer.
    """
    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        return optimizer.dynamic_scale.value
    return optimizer.loss_scale_factor or 1.0


def projection_suffices(optimizer: Any) -> bool:
    """Tells whether kept weights are trained alike, bit for bit, where the gradient of pruned ones is not masked.

    So it is inside Keras' own training step with an element-wise optimizer that takes no norms and no averages: each
    update is projected, and nothing else sees what became of a pruned weight. One pass over the weights is saved.

    Args:
        optimizer: the one that the model is compiled with, or None.
    """
    if type(optimizer) not in ELEMENT_WISE or optimizer.use_ema or "apply" in vars(optimizer):
        return False  # tf_pai.callbacks put an `apply` of their own on the optimizer
    return not (optimizer.clipnorm or optimizer.global_clipnorm) and in_train_step_of_keras()


def training_optimizers(called: Any, weight: Any) -> list[Any]:
    """Returns the optimizers that train a weight in the step that calls: of the model called, or of that of the step.

    Args:
        called: the outermost layer that is called; a step of the user's own may call another than its model.
        weight: a weight.
    """
    models, frame = [called], inspect.currentframe()
    while frame is not None:
        if frame.f_code.co_name == "train_step":
            models.append(frame.f_locals.get("self"))
            break
        frame = frame.f_back
    used = [m for m in models if isinstance(m, keras.Model) and any(weight is v for v in m.trainable_variables)]
    return [leaf for model in used for leaf in optimizers_of(getattr(model, "optimizer", None))]


def in_train_step_of_keras() -> bool:
    """Tells whether `Model.train_step` of Keras calls: a user's own step may do anything with gradients and weights.

    Looks up the call stack, which costs nothing in a graph.
    """
    frame = inspect.currentframe()
    while frame is not None and frame.f_code is not keras.Model.train_step.__code__:
        frame = frame.f_back
    return frame is not None
