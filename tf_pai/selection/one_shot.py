"""Deconstruct's one-shot supermasks: a criterion on initial and trained weights, and what is done with the weights."""

from __future__ import annotations

import numbers
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from tf_pai.layers import participating, prunable_layers, weights_of
from tf_pai.masks import set_masks
from tf_pai.registry import Registry
from tf_pai.selection.mask_criteria import MASK_CRITERIA, act_on_pruned, mask_by
from tf_pai.static.checks import check_randomness

KeptAction = Callable[[np.ndarray, np.ndarray, np.random.Generator], np.ndarray]
KEPT_ACTIONS: Registry[KeptAction] = Registry("mask-1 action")


@KEPT_ACTIONS.register("rewind")
def rewind(initial: np.ndarray, mask: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Returns the initial values."""
    del mask, generator
    return initial


@KEPT_ACTIONS.register("constant")
def constant(initial: np.ndarray, mask: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Returns the signs of the initial values, times their standard deviation."""
    del mask, generator
    return np.sign(initial) * initial.std()


@KEPT_ACTIONS.register("reshuffle")
def reshuffle(initial: np.ndarray, mask: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Returns the kept initial values in another order."""
    value = initial.copy()
    value[mask] = generator.permutation(initial[mask])
    return value


@KEPT_ACTIONS.register("reinit")
def reinit(initial: np.ndarray, mask: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Returns values drawn anew, from all initial ones of the weight."""
    return np.where(mask, generator.choice(initial.ravel(), initial.shape), initial)


def one_shot_supermask(
    initial: keras.Model,
    final: keras.Model,
    criterion: str = "large_final",
    sparsity: float = 0.5,
    *,
    kept: str = "rewind",
    freeze_pruned: bool = False,
    seed: int = 0,
) -> keras.Model:
    """Makes the network of the initial weights with a mask that a criterion takes from the trained ones.

    Args:
        initial: a built model without masks, at initialization; it is left untouched unless it is subclassed.
        final: the same model after training.
        criterion: a name in `MASK_CRITERIA`.
        sparsity: fraction pruned of each weight, in [0, 1).
        kept: mask-1 action, a name in `KEPT_ACTIONS`: "rewind", "constant", "reshuffle" or "reinit".
        freeze_pruned: mask-0 action: whether pruned weights that moved away from 0 stay at their initial value. They
            are then no zeros, and the model that is returned is plain, without masks.
        seed: of what is random.

    Raises:
        ValueError: an unknown name, models of other weights, a model with masks, or a sparsity outside [0, 1).

    Example:
        >>> import keras, tf_pai
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, name="fc")])
        >>> trained = keras.models.clone_model(model)
        >>> trained.set_weights([2 * value for value in model.get_weights()])
        >>> tf_pai.sparsity(tf_pai.selection.one_shot_supermask(model, trained, "magnitude_increase", 0.75))
        0.75

    Reference: Zhou et al. 2019, "Deconstructing lottery tickets: zeros, signs, and the supermask", sections 2-4.
    Differs from the paper in: one round; "reinit" draws from the initial values, whatever made these.
    """
    MASK_CRITERIA.find(criterion)
    act = KEPT_ACTIONS.find(kept)
    check_randomness(seed, None)
    if isinstance(sparsity, bool) or not isinstance(sparsity, numbers.Real) or not 0 <= sparsity < 1:
        raise ValueError(f"A sparsity is a number in [0, 1). Received: sparsity={sparsity!r}.")
    before, after = _values(initial), _values(final)
    if [v.shape for v in before.values()] != [v.shape for v in after.values()]:
        raise ValueError("Both models have the same weights. Received: others before than after training.")
    masks: dict[str, Any] = {}
    values: dict[str, np.ndarray] = {}
    for i, ((path, old), new) in enumerate(zip(before.items(), after.values(), strict=True)):
        masks[path] = mask_by(criterion, old, new, 1 - sparsity)
        value = act(old, masks[path], np.random.default_rng([seed, i]))
        pruned = act_on_pruned(old, new, masks[path]) if freeze_pruned else np.zeros_like(old)
        values[path] = np.where(masks[path], value, pruned)
    if freeze_pruned:
        model = keras.models.clone_model(initial)
        model.set_weights(initial.get_weights())
    else:
        model = set_masks(initial, masks)
    variables = weights_of(model)
    for path, value in values.items():
        variables[path].assign(value)
    return model


def _values(model: keras.Model) -> dict[str, np.ndarray]:
    if prunable_layers(model):
        raise ValueError("A one-shot supermask is taken from models without masks. Received: a pruned one.")
    return {path: weight.variable.numpy() for path, weight in participating(model).items()}
