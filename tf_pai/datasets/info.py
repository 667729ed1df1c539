"""The registry of data sets, and what is known of each."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Callable

from tf_pai.datasets.splits import Source
from tf_pai.registry import Registry


@dataclasses.dataclass(frozen=True)
class DatasetInfo:
    """What is known of a data set, and the function that reads it.

    Attributes:
        name: what users type, e.g. "cifar10"; for a family the pattern, e.g. "tfds:NAME".
        summary: contents, source and licence, in one line.
        read: called with the name (for a family: what stands after its first colon) and `data_dir`.
        mean: mean of the pixel values / 255 of each channel; empty where it is measured on the training split.
        deviation: their standard deviation; empty where it is measured.
    """

    name: str
    summary: str
    read: Callable[[str, str | pathlib.Path | None], Source] = dataclasses.field(repr=False, compare=False)
    mean: tuple[float, ...] = ()
    deviation: tuple[float, ...] = ()


DATASETS: Registry[DatasetInfo] = Registry("dataset")


def register_dataset(name: str, summary: str, **statistics: tuple[float, ...]) -> Callable:
    """Returns a decorator that registers a reading function as the data set `name`; see `DatasetInfo`."""

    def add(read: Callable[[str, str | pathlib.Path | None], Source]) -> Callable:
        DATASETS.register(name)(DatasetInfo(name, summary, read, **statistics))
        return read

    return add


def list_datasets() -> list[DatasetInfo]:
    """Returns what is known of every data set, in alphabetical order.

    >>> [info.name for info in list_datasets() if "mnist" in info.name]
    ['fashion_mnist', 'mnist']
    """
    return [DATASETS.find(name) for name in DATASETS]


def find_dataset(name: str) -> tuple[DatasetInfo, str]:
    """Returns the entry that `name` belongs to, and the argument for its `read`.

    Raises:
        ValueError: no entry has that name; the message holds the nearest one and the list.

    >>> info, argument = find_dataset("tfds:svhn_cropped")
    >>> info.name, argument
    ('tfds:NAME', 'svhn_cropped')
    """
    family, _, argument = str(name).partition(":")
    for entry in DATASETS:
        if argument and entry.startswith(f"{family}:"):
            return DATASETS.find(entry), argument
    return DATASETS.find(name), name
