"""From a model to its Report."""

from __future__ import annotations

import importlib.metadata
import platform

import keras

from tf_pai.analysis import Connectivity, ModelFlops, connectivity, count_flops, stored_bytes
from tf_pai.analysis.work import size_of
from tf_pai.layers import SparseMask, held_masks, kept_counts, prunable_weights, weight_shapes
from tf_pai.masks import sparsity as sparsity_of
from tf_pai.records import Record, compute_of, method_of, record_of, tables_of
from tf_pai.reporting.document import Report, Row

LISTED = 5  # layers named in a warning; a collapsed network has dozens


def report(model: keras.Model) -> Report:
    """Returns the Report of a model: per weight what was asked and what it got, FLOPs, bytes, and what is dead.

    Args:
        model: a built model, pruned or not. What was asked is known of a model that `prune_at_init` returned, for as
            long as that object lives; it is not saved with it.

    Example:
        >>> import keras, tf_pai
        >>> model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(4, name="fc")])
        >>> report = tf_pai.report(tf_pai.prune_at_init(model, "magnitude", 0.75))
        >>> report.kept, report.total, report.rows[0].asked
        (8, 32, 0.75)
    """
    record, flops = record_of(model), count_flops(model)
    alive = _connectivity(model)
    rows = _rows(model, record, flops, alive)
    dense_bytes, sparse_bytes = stored_bytes(model)
    return Report(
        name=model.name,
        rows=rows,
        method=method_of(model),
        asked=record.sparsity if record else None,
        sparsity=sparsity_of(model),
        effective_sparsity=alive.effective_sparsity,
        parameters=sum(size_of(shape) for shape in weight_shapes(model).values()),
        flops_dense=flops.dense,
        flops_sparse=flops.sparse,
        bytes_dense=dense_bytes,
        bytes_sparse=sparse_bytes,
        seconds=record.seconds if record else None,
        choices=dict(record.choices) if record else {},
        histogram=_histogram(record),
        warnings=_warnings(rows, alive),
        notes=[*flops.notes, *alive.notes, *_unknown(flops)],
        versions=_versions(),
        sections={**({"compute": compute_of(model)} if compute_of(model) else {}), **tables_of(model)},
    )


def summary(model: keras.Model) -> Report:
    """Prints a table of a model's weights (asked, got, parameters, FLOPs), totals and warnings; returns the Report.

    Args:
        model: a built model, pruned or not.
    """
    made = report(model)
    from tf_pai.reporting.table import show

    show(made)
    return made


def _connectivity(model: keras.Model) -> Connectivity:
    """A plain model has no dead units: that needs no walk through its graph."""
    return connectivity(model) if held_masks(model) else Connectivity({}, 0.0, [])


def _rows(model: keras.Model, record: Record | None, flops: ModelFlops, alive: Connectivity) -> list[Row]:
    counts, shapes = kept_counts(model), weight_shapes(model)
    sparse = {path for path, held in held_masks(model).items() if isinstance(held, SparseMask)}
    asked = record.asked if record else {}
    by_weight = flops.by_weight()
    notes = {path: layer.note for layer in flops.layers.values() for path in layer.uses}
    wanted = set(prunable_weights(model)) | {path for path in counts if len(shapes[path]) >= 2}
    rows = []
    for path in (path for path in shapes if path in wanted):
        shape = shapes[path]
        kept, total = counts.get(path, (size_of(shape), size_of(shape)))
        got = 1 - kept / total if path in counts else None
        dead = alive.dead.get(path.rpartition("/")[0])
        count = None if dead is None else int(dead.sum())
        dense_flops, sparse_flops = by_weight.get(path, (0, 0))
        figures = (path, shape, total, kept, asked.get(path), got, dense_flops, sparse_flops, count)
        rows.append(Row(*figures, notes.get(path, ""), path in sparse))
    return rows


def _warnings(rows: list[Row], alive: Connectivity) -> list[str]:
    found = []
    emptied = [row.path for row in rows if row.kept == 0]
    if emptied:
        found.append(f"Emptied, so that no signal passes: {_listed(emptied)}.")
    if alive.effective_sparsity == 1:
        found.append("No path of kept weights leads from an input to an output.")
    dead = {path: (int(units.sum()), units.size) for path, units in alive.dead.items() if units.any()}
    if dead:
        worst = sorted(dead, key=lambda path: dead[path][0] / dead[path][1], reverse=True)
        named = _listed([f"{dead[path][0]} of {dead[path][1]} in {path}" for path in worst])
        found.append(f"Dead units (on no path of kept weights from input to output): {named}.")
    return found


def _listed(names: list[str]) -> str:
    rest = len(names) - LISTED
    return ", ".join(names[:LISTED]) + (f", and {rest} more" if rest > 0 else "")


def _unknown(flops: ModelFlops) -> list[str]:
    """Notes on layers, those of the same kind in one line."""
    kinds: dict[str, list[str]] = {}
    for path, layer in flops.layers.items():
        if layer.note and not flops.notes:
            kinds.setdefault(layer.note, []).append(path or "the model itself")
    return [f"FLOPs of {_listed(paths)}: {note}." for note, paths in kinds.items()]


def _histogram(record: Record | None) -> dict[str, list[float]] | None:
    if record is None or record.histogram is None:
        return None
    kept, pruned, edges = record.histogram
    return {"kept": kept.tolist(), "pruned": pruned.tolist(), "edges": edges.tolist()}


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in ("tf_pai", "keras", "tensorflow"):
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:  # run from a checkout that is not installed
            continue
    return found
