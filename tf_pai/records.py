"""What was asked when a model was pruned, kept beside the model for its report."""

from __future__ import annotations

import dataclasses
import weakref
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

HISTOGRAM_SAMPLE = 1_000_000  # scores looked at for the histogram; all of 10^8 would take seconds


@dataclasses.dataclass(frozen=True)
class Record:
    """How a model was pruned. It lives as long as the model object, and is not saved with it.

    Attributes:
        method: the method's name, or the criterion's.
        sparsity: the sparsity asked for.
        choices: {"structure": ..., "distribution": ..., "schedule": ..., "seed": ...} as text and numbers.
        asked: {path: sparsity that this weight's budget asks for}.
        seconds: wall-clock seconds that scoring and choosing took.
        histogram: (counts of kept, counts of pruned, edges) over log10 of |score|, or None without scores.
    """

    method: str
    sparsity: float
    choices: dict[str, Any]
    asked: dict[str, float]
    seconds: float
    histogram: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None


_records: weakref.WeakKeyDictionary[keras.Model, Record] = weakref.WeakKeyDictionary()


def remember(model: keras.Model, record: Record) -> None:
    """Files the record of a model."""
    _records[model] = record


def record_of(model: keras.Model) -> Record | None:
    """Returns the record of a model, or None where it was loaded or pruned by hand."""
    return _records.get(model)


Tables = dict[str, list[dict[str, Any]]]  # {title: rows}, a row being {column: value}
_tables: weakref.WeakKeyDictionary[keras.Model, tuple[str, Callable[[keras.Model], Tables]]]
_tables = weakref.WeakKeyDictionary()


def remember_tables(model: keras.Model, mover: str, make: Callable[[keras.Model], Tables]) -> None:
    """Files what a training has to say about a model, for its report.

    Args:
        model: the model; it lives no longer for being remembered, unless `make` refers to it.
        mover: what has moved its masks.
        make: called with the model when a report is made, gives {title: rows}.
    """
    _tables[model] = mover, make


def tables_of(model: keras.Model) -> Tables:
    """Returns the tables remembered for a model; {} where there are none."""
    return _tables[model][1](model) if model in _tables else {}


def method_of(model: keras.Model) -> str | None:
    """Returns what has pruned a model, "random, then RigL" where masks have moved since; None where it is not known."""
    record, moved = record_of(model), _tables.get(model)
    names = [*([] if record is None else [record.method]), *([] if moved is None else [moved[0]])]
    return ", then ".join(names) or None


_compute: weakref.WeakKeyDictionary[keras.Model, list[dict[str, Any]]] = weakref.WeakKeyDictionary()


def remember_compute(model: keras.Model, rows: list[dict[str, Any]]) -> None:
    """Files how each layer with masks computes, and why, for the model's report."""
    _compute[model] = rows


def compute_of(model: keras.Model) -> list[dict[str, Any]]:
    """Returns how each layer with masks computes; [] for a model that was not converted."""
    return _compute.get(model, [])


def score_histogram(
    scores: dict[str, np.ndarray], masks: dict[str, np.ndarray], bins: int = 60
) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """Returns (counts of kept, counts of pruned, edges) over log10 of |score|, from a regular sample.

    Args:
        scores: {path: score}.
        masks: {path: mask}.
        bins: number of bins.
    """
    stride = max(1, sum(s.size for s in scores.values()) // HISTOGRAM_SAMPLE)
    values = np.abs(np.concatenate([s.ravel()[::stride] for s in scores.values()])).astype("float64")
    kept = np.concatenate([masks[path].ravel()[::stride] for path in scores])
    usable = np.isfinite(values) & (values > 0)
    if not usable.any():
        return None
    logs, kept = np.log10(values[usable]), kept[usable]
    edges = np.histogram_bin_edges(logs, bins)
    return np.histogram(logs[kept], edges)[0], np.histogram(logs[~kept], edges)[0], edges
