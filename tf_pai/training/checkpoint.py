"""All that a training run needs to go on, in one file that is written whole or not at all."""

from __future__ import annotations

import json
import os
import pathlib
import zipfile
from typing import Any

import keras
import numpy as np

from tf_pai.files import write_whole

FILE = "checkpoint.npz"


def save(file: pathlib.Path, about: dict[str, Any], variables: list[keras.Variable]) -> None:
    """Writes `about` (numbers, text, arrays, nested in lists and dicts) and the values of variables.

    Raises:
        OSError: the disk is full or not writable; the file is what it was before.
    """
    arrays: dict[str, np.ndarray] = {f"variable{i}": _storable(v) for i, v in enumerate(variables)}
    arrays["about"] = np.array(json.dumps(_without_arrays(about, arrays)))
    try:
        with write_whole(file) as stream:
            np.savez(stream, **arrays)  # type: ignore[arg-type] # numpy's stub takes them for options
    except OSError as error:
        raise OSError(
            error.errno,
            f"A checkpoint could not be written ({error.strerror}). What was there before is untouched: make room and "
            "call again, and the run goes on after its last complete epoch",
            str(file),
        ) from error


def load(file: pathlib.Path) -> tuple[dict[str, Any], list[np.ndarray]]:
    """Returns (about, values of the variables).

    Raises:
        ValueError: the file is damaged; it is left as it is.
    """
    try:
        with np.load(file, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        about = _with_arrays(json.loads(str(arrays["about"])), arrays)
    except (ValueError, KeyError, EOFError, OSError, zipfile.BadZipFile) as error:
        raise ValueError(
            f"A run goes on from a whole checkpoint. Received: {str(file)!r}, which is damaged ({error}). Nothing was "
            "changed: put a whole copy in its place, or move it away to begin this training again."
        ) from error
    return about, [arrays[f"variable{i}"] for i in range(sum(name.startswith("variable") for name in arrays))]


def restore(variables: list[keras.Variable], values: list[np.ndarray], file: str | os.PathLike) -> None:
    """Assigns values to variables, after all have been found to fit.

    Raises:
        ValueError: number or shapes differ; nothing is assigned.
    """
    shapes = [tuple(variable.shape) for variable in variables]
    if shapes != [value.shape for value in values]:
        raise ValueError(
            f"A checkpoint belongs to the model and optimizer it was made with. Received: {str(file)!r} with "
            f"{len(values)} arrays for {len(shapes)} variables, whose shapes differ. Use another folder."
        )
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value.view(_dtype(variable)) if value.dtype == np.uint16 else value)


def _storable(variable: keras.Variable) -> np.ndarray:
    """The value as an array that .npz files know: bfloat16 as its bits."""
    value = np.asarray(variable)
    return value.view(np.uint16) if value.dtype.kind == "V" or value.dtype.name == "bfloat16" else value


def _dtype(variable: keras.Variable) -> np.dtype:
    return np.asarray(variable).dtype


def _without_arrays(value: Any, arrays: dict[str, np.ndarray]) -> Any:
    """`value` as JSON, its arrays moved to `arrays`."""
    if isinstance(value, dict):
        return {str(key): _without_arrays(item, arrays) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_arrays(item, arrays) for item in value]
    if isinstance(value, np.ndarray) and value.ndim:
        name = f"array{len(arrays)}"
        arrays[name] = value
        return {"__array__": name}
    return value.item() if hasattr(value, "item") else value


def _with_arrays(value: Any, arrays: dict[str, np.ndarray]) -> Any:
    if isinstance(value, dict):
        if set(value) == {"__array__"}:
            return arrays[value["__array__"]]
        return {key: _with_arrays(item, arrays) for key, item in value.items()}
    return [_with_arrays(item, arrays) for item in value] if isinstance(value, list) else value
