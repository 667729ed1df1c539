"""The file of the tasks of `Supermasks`: for each a row of bits and of statistics, and whose network they belong to."""

from __future__ import annotations

import os
import pathlib

import numpy as np

from tf_pai.files import write_whole

Rows = dict[str, np.ndarray]


def write_tasks(file: str | os.PathLike, bits: Rows, statistics: Rows, network: str) -> None:
    """Writes tasks to an .npz file, whole or not at all; nothing in it is pickled.

    Args:
        file: its name.
        bits: {task: packed masks}.
        statistics: {task: moving statistics}.
        network: digest of the frozen weights.
    """
    shape = (len(bits), -1) if bits else (0, 0)
    arrays = {
        "names": np.array(list(bits), str),
        "bits": np.array(list(bits.values()), np.uint8).reshape(shape),
        "statistics": np.array([statistics[name] for name in bits], np.float32).reshape(len(bits), -1 if bits else 0),
        "network": np.array(network),
    }
    with write_whole(file) as stream:
        np.savez(stream, **arrays)  # type: ignore[arg-type]


def read_tasks(file: str | os.PathLike, network: str, widths: tuple[int, int]) -> tuple[Rows, Rows]:
    """Returns what `write_tasks` wrote: {task: packed masks} and {task: moving statistics}.

    Args:
        file: its name.
        network: digest of the frozen weights that the masks are for.
        widths: bytes of masks, and number of statistics, of a task of that network.

    Raises:
        OSError: the file cannot be opened.
        ValueError: the file is no such file, or belongs to another network.
    """
    try:
        with np.load(pathlib.Path(file), allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in ("names", "bits", "statistics", "network")}
        names, rows = [str(name) for name in arrays["names"]], (arrays["bits"], arrays["statistics"])
        same_network = str(arrays["network"]) == network
        fits = [(part.dtype, part.shape) for part in rows] == [
            (kind, (len(names), width)) for kind, width in zip((np.uint8, np.float32), widths, strict=True)
        ]
        if same_network and names and not (fits and len(set(names)) == len(names)):
            raise ValueError(f"{len(names)} tasks have a name and a row each. Received: {[r.shape for r in rows]}.")
    except OSError:
        raise
    except Exception as error:  # a damaged archive makes zipfile, zlib and NumPy fail in a dozen ways
        raise ValueError(f"Tasks are read from a file that save wrote. Received: {str(file)!r}.") from error
    if not same_network:
        raise ValueError(
            "Tasks belong to one network, and mean nothing on other frozen weights. Received: those of another one, in "
            f"{str(file)!r}. Make the network as it was made then: same architecture, seed and weights."
        )
    bits, statistics = (dict(zip(names, part, strict=True)) for part in rows)
    return bits, statistics
