"""The weights of a ticket: what a seed gives back is stored as that seed, the rest as values."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import keras
import numpy as np

from tf_pai.layers.initializing import initializer_of
from tf_pai.layers.paths import owned_weights
from tf_pai.masks import Masks
from tf_pai.selection.frozen import frozen_again


@dataclasses.dataclass(frozen=True)
class Values:
    """The weights to write.

    Attributes:
        model: whose they are.
        initial: {path: array} of every weight.
        masks: {path: boolean array}; of weights that have one here only what is kept is stored.
        selection: what `description_of` says of the model.
    """

    model: keras.Model
    initial: dict[str, np.ndarray]
    masks: Masks
    selection: dict[str, Any] | None


def write_values(weights: Values, arrays: dict[str, np.ndarray]) -> dict[str, dict[str, Any]]:
    """Returns {path: {"shape": ..., "dtype": ..., how to get it back}}, and adds to `arrays` what has no seed."""
    entries = {}
    for i, (path, owner, variable) in enumerate(owned_weights(weights.model)):
        value, mask = np.asarray(weights.initial[path]), weights.masks.get(path)
        entry: dict[str, Any] = {"shape": list(variable.shape), "dtype": str(variable.dtype)}
        recipe = _recipe(path, owner, variable, weights.selection)
        if recipe is not None and _same(_made(path, {**entry, **recipe}, weights.selection), value, mask):
            entries[path] = {**entry, **recipe}
            continue
        entries[path] = {**entry, "values": f"values{i}"}
        stored = value if value.dtype.kind in "biufc" else value.astype("float32")  # bfloat16 is no type of NumPy's
        arrays[f"values{i}"] = stored if mask is None else stored[mask]
    return entries


def read_values(
    entries: dict[str, dict[str, Any]],
    arrays: dict[str, np.ndarray],
    masks: Masks,
    selection: dict[str, Any] | None,
) -> dict[str, np.ndarray]:
    """Returns {path: value} from what `write_values` made; pruned values are zero.

    Args:
        entries: as `write_values` returned them.
        arrays: what it added to.
        masks: {path: boolean array}.
        selection: what `description_of` said.
    """
    values = {}
    for path, entry in entries.items():
        mask = masks.get(path)
        if "values" not in entry:
            values[path] = zero_where_pruned(_made(path, entry, selection), mask)
        elif mask is None:
            values[path] = arrays[entry["values"]]
        else:
            values[path] = np.zeros(mask.shape, arrays[entry["values"]].dtype)
            values[path][mask] = arrays[entry["values"]]
    return values


def zero_where_pruned(value: np.ndarray, mask: np.ndarray | None) -> np.ndarray:
    """Returns a value as a ticket gives it back: 0 where it is pruned; without a mask, as it is."""
    return value if mask is None else np.where(mask, value, np.zeros((), value.dtype))


def _recipe(path: str, owner: Any, variable: Any, selection: dict[str, Any] | None) -> dict[str, Any] | None:
    """How the weight may have been made, or None."""
    if selection is not None and path in selection["keep"] and selection["weights"] != "own":
        return {"frozen": True}
    initializer = initializer_of(owner, variable.name)
    if initializer is None or not type(initializer).__module__.startswith(("keras.", "tf_pai.")):
        return None
    config = keras.saving.serialize_keras_object(initializer)
    if "seed" in config["config"] and isinstance(getattr(initializer, "seed", None), int):
        config["config"]["seed"] = initializer.seed  # the one that was drawn, where none was given
    try:
        return {"initializer": json.loads(json.dumps(config))}
    except TypeError:
        return None


def _made(path: str, entry: dict[str, Any], selection: dict[str, Any] | None) -> np.ndarray:
    """The value that a recipe makes."""
    if "frozen" in entry:
        assert selection is not None
        return frozen_again(path, tuple(entry["shape"]), selection)
    initializer = keras.saving.deserialize_keras_object(entry["initializer"])
    return keras.ops.convert_to_numpy(initializer(tuple(entry["shape"]), dtype=entry["dtype"]))


def _same(made: np.ndarray, value: np.ndarray, mask: np.ndarray | None) -> bool:
    """Whether they are equal where it matters, bit for bit."""
    kept = slice(None) if mask is None else mask
    return made.dtype == value.dtype and made[kept].tobytes() == value[kept].tobytes()
