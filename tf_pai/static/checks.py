"""Checks of what users hand in, made before anything is changed."""

from __future__ import annotations

import numbers
from typing import Any

import keras
import numpy as np

from tf_pai.criteria import Criterion
from tf_pai.structures import Structure


def check_model(model: Any) -> None:
    """Raises TypeError for what is no Keras 3 model, and ValueError for one that has no weights yet."""
    if not isinstance(model, keras.Model):
        if type(model).__module__.startswith("tf_keras") or any(
            "tf_keras" in base.__module__ for base in type(model).__mro__
        ):
            raise TypeError(
                "tf_pai prunes Keras 3 models. Received: a tf_keras (Keras 2) model. Rebuild it with `import keras`; "
                "weights saved by tf_keras can be read into the Keras 3 twin with `load_weights`."
            )
        raise TypeError(f"tf_pai prunes Keras 3 models. Received: {type(model).__module__}.{type(model).__name__}.")
    if not model.built or not model.weights:
        raise ValueError(
            f"A model is built before it is pruned. Received: {type(model).__name__} {model.name!r} without weights. "
            "Call it on a batch, or give it an Input."
        )


def check_sparsity(sparsity: float | None, structure: Structure) -> float:
    """Returns the sparsity to prune to; raises ValueError outside [0, 1) or against an N:M pattern."""
    own = None if structure.density is None else 1 - structure.density
    if sparsity is None:
        return 0.9 if own is None else own
    if isinstance(sparsity, bool) or not isinstance(sparsity, numbers.Real) or not 0 <= sparsity < 1:
        raise ValueError(f"A sparsity is a number in [0, 1), the fraction removed. Received: sparsity={sparsity!r}.")
    if own is not None and abs(sparsity - own) > 1e-9:
        raise ValueError(
            f"The pattern {structure!r} has sparsity {own:g}. Received: sparsity={sparsity!r}. Leave it out."
        )
    return float(sparsity)


def check_randomness(seed: Any, batches: Any) -> None:
    """Raises ValueError for a seed or a number of batches that is no such number."""
    if seed is not None and (isinstance(seed, bool) or not isinstance(seed, numbers.Integral) or seed < 0):
        raise ValueError(f"A seed is an integer, 0 or more. Received: seed={seed!r}.")
    if batches is not None and (isinstance(batches, bool) or not isinstance(batches, numbers.Integral) or batches < 1):
        raise ValueError(f"At least one batch is scored. Received: batches={batches!r}.")


def check_scores(criterion: Criterion, scores: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Returns the scores; raises ValueError where one is NaN."""
    for path, score in scores.items():
        if np.isnan(score.min()):
            raise ValueError(
                f"A score is a number. Received: NaN from {criterion!r} for {path!r}. Look for NaN or infinite values "
                "in the weights, in data, or in the loss."
            )
    return scores
