"""The weights that a search starts from, kept in its folder."""

from __future__ import annotations

import pathlib
import zipfile

import numpy as np

from tf_pai.files import write_whole
from tf_pai.layers import weights_of
from tf_pai.tickets.bench import Bench

FILE = "start.npz"


def remembered_start(bench: Bench, folder: pathlib.Path | None, name: str = FILE) -> None:
    """Writes the weights of the bench's model into a new folder; of an old one, gives the model those in it.

    So a network whose initial weights come out differently in each process is the same one after a kill.

    Raises:
        ValueError: the file is damaged.
    """
    if folder is None:
        return
    file, values = folder / name, bench.values()
    if not file.exists():
        with write_whole(file) as stream:
            np.savez(stream, **{f"weight{i}": _storable(value) for i, value in enumerate(values.values())})  # type: ignore[arg-type]
        return
    try:
        with np.load(file, allow_pickle=False) as stored:
            start = [stored[f"weight{i}"] for i in range(len(values))]
    except (ValueError, KeyError, EOFError, OSError, zipfile.BadZipFile) as error:
        raise ValueError(
            f"A search goes on from a whole file of initial weights. Received: {str(file)!r}, which is damaged. "
            "Nothing was changed: put a whole copy in its place, or use another folder."
        ) from error
    for variable, value in zip(weights_of(bench.model).values(), start, strict=True):
        variable.assign(value)


def _storable(value: np.ndarray) -> np.ndarray:
    """The value as an array that .npz files know: bfloat16, which is no type of NumPy's, as float32."""
    return value if value.dtype.kind in "biufc" else value.astype("float32")
