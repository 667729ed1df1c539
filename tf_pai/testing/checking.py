"""What every pre-selected-mask method promises, proved on one model family after another."""

from __future__ import annotations

import pathlib
import tempfile
import warnings
from typing import Any

import keras
import numpy as np

import tf_pai
from tf_pai.layers import prunable_weights, weights_of
from tf_pai.masks import connections
from tf_pai.registry import METHODS
from tf_pai.static.method import get
from tf_pai.testing.families import FAMILIES, Family

SPARSITY, SEED = 0.6, 3


def check_method(name: str, family: str | None = None) -> None:
    """Proves what a registered static method promises; raises AssertionError with the promise that does not hold.

    Exact count; same seed, same mask; the original is untouched and other weights are as they were; zeros stay zeros
    through `fit`, also in mixed precision; saving and loading changes nothing; no layer is emptied without a warning
    that names it.

    Args:
        name: a name of `tf_pai.list_methods("static")`.
        family: one of `FAMILIES`; None for all of them.

    Raises:
        AssertionError: a promise does not hold.
        ValueError: no such method or family, or a method that says it cannot prune models of that family.

    Example:
        >>> check_method("magnitude", "sequential")
    """
    for kind in [FAMILIES.find(family)] if family else [FAMILIES.find(one) for one in FAMILIES]:
        model, data = _compiled(kind), kind.data()
        before = {path: variable.numpy() for path, variable in weights_of(model).items()}
        prunable = list(prunable_weights(model))
        pruned, warned = _pruned(name, model, data)
        assert list(connections(pruned)) == prunable, f"{name} gives a mask to each prunable weight"
        _check_counts(name, pruned)
        _check_emptied(name, pruned, warned)
        _check_weights(name, before, pruned)
        if pruned is not model:
            for path, variable in weights_of(model).items():
                _same(f"{name} leaves the original model untouched", before[path], variable.numpy())
        again = _masks(_pruned(name, _compiled(kind), data)[0])
        for one, other in zip(_masks(pruned), again, strict=True):
            _same(f"{name} gives the same mask for the same seed", one, other)
        pruned.fit(*data, batch_size=8, epochs=2, verbose=0)
        assert tf_pai.verify(pruned)
        _check_saving(name, pruned, data[0])


def check_mixed_precision(name: str, family: str = "functional") -> None:
    """Proves that a method prunes and trains a model that computes in float16.

    Args:
        name: a name of `tf_pai.list_methods("static")`.
        family: one of `FAMILIES`.

    Raises:
        AssertionError: a promise does not hold.
    """
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    try:
        kind = FAMILIES.find(family)
        pruned, _ = _pruned(name, _compiled(kind), kind.data())
        _check_counts(name, pruned)
        pruned.fit(*kind.data(), batch_size=8, verbose=0)
        assert tf_pai.verify(pruned)
    finally:
        keras.config.set_dtype_policy(policy)


def _compiled(kind: Family) -> keras.Model:
    model = kind.build()
    loss = {"first": kind.loss(), "second": kind.loss()} if kind.name == "multi_io" else kind.loss()
    model.compile(keras.optimizers.Adam(0.01), loss)
    return model


def _pruned(name: str, model: keras.Model, data: Any) -> tuple[keras.Model, list[str]]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        pruned = tf_pai.prune_at_init(model, name, SPARSITY, data=data, seed=SEED)
    return pruned, [str(warning.message) for warning in caught]


def _masks(model: keras.Model) -> list[np.ndarray]:
    return list(tf_pai.get_masks(model).values())


def _check_counts(name: str, model: keras.Model) -> None:
    masks = connections(model)
    kept, total = sum(int(mask.sum()) for mask in masks.values()), sum(mask.size for mask in masks.values())
    slack = 0 if get(name).distribution == "global" else len(masks)  # a layer keeps one weight at least
    asked = round((1 - SPARSITY) * total)
    assert abs(kept - asked) <= slack, f"{name} keeps round(density * N) = {asked} weights, not {kept}"


def _check_emptied(name: str, model: keras.Model, warned: list[str]) -> None:
    for path, mask in connections(model).items():
        named = any("emptied" in text and path in text for text in warned)
        assert mask.any() or named, f"{name} names {path!r}, which it empties, in a warning"


def _check_weights(name: str, before: dict[str, np.ndarray], model: keras.Model) -> None:
    """Kept weights have the values they had, unless the method says how it changes them (f2); all others too."""
    masks, transformed = tf_pai.get_masks(model), get(name).transform is not None
    for path, variable in weights_of(model).items():
        if path not in masks or not transformed:
            kept = np.where(masks.get(path, True), before[path], 0)
            _same(f"{name} keeps the values of the weights it keeps, {path!r} too", kept, variable.numpy())


def _same(promise: str, one: np.ndarray, other: np.ndarray) -> None:
    assert np.array_equal(one, other), promise


def _check_saving(name: str, model: keras.Model, x: Any) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "model.keras"
        model.save(file)
        loaded = keras.models.load_model(file)
    pairs = zip(weights_of(model).values(), weights_of(loaded).values(), strict=True)
    for one, other in [*((a.numpy(), b.numpy()) for a, b in pairs), *zip(_masks(model), _masks(loaded), strict=True)]:
        _same(f"a {name} model is the same after saving and loading", one, other)
    outputs = zip(keras.tree.flatten(model(x)), keras.tree.flatten(loaded(x)), strict=True)
    for one, other in outputs:
        _same(f"a {name} model's outputs are the same after saving and loading", np.asarray(one), np.asarray(other))


def static_methods() -> list[str]:
    """Returns the names of all registered static methods."""
    return [name for name in METHODS if METHODS.find(name).track == "static"]
