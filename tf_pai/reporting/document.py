"""The Report: what was asked of a model, what it got, and what came of it."""

from __future__ import annotations

import dataclasses
import json
import math
import os
from typing import Any

import numpy as np

from tf_pai.files import write_whole

Table = list[dict[str, Any]]


@dataclasses.dataclass(frozen=True)
class Row:
    """One prunable weight.

    Attributes:
        path: the weight's path.
        shape: its shape.
        total: number of weights.
        kept: number of kept weights.
        asked: sparsity that was asked for, shared with the other weights of its budget; None where not known.
        got: sparsity it has; None without a mask.
        flops_dense: FLOPs per example with all weights.
        flops_sparse: FLOPs per example with the kept weights only.
        dead: number of dead units of its layer; None where units are not known.
        note: what the figures do not know, or "".
        is_sparse: whether the layer holds and computes with the kept weights only.
    """

    path: str
    shape: tuple[int, ...]
    total: int
    kept: int
    asked: float | None = None
    got: float | None = None
    flops_dense: float = 0
    flops_sparse: float = 0
    dead: int | None = None
    note: str = ""
    is_sparse: bool = False

    @property
    def density(self) -> float:
        """Fraction of the weights that is kept."""
        return self.kept / self.total if self.total else 1.0


@dataclasses.dataclass
class Report:
    """What is known of a pruned (or plain) model; a value of its own, without the model.

    Runs fill in what they know beside: `config`, `metrics`, `history`, `command`, and `sections` of their own.

    Attributes:
        name: the model's name.
        rows: one per prunable weight, in model order.
        method: the method that pruned it, or None.
        asked: the sparsity asked for, or None.
        sparsity: fraction of the weights with a mask that is pruned.
        effective_sparsity: the same, weights on no path from input to output counted as pruned.
        parameters: number of all weights of the model, biases and normalisations too.
        flops_dense: FLOPs of a forward pass per example, with all weights.
        flops_sparse: FLOPs with the kept weights only.
        bytes_dense: bytes of all weights.
        bytes_sparse: bytes of the kept values and one bit per weight of each pruned tensor.
        seconds: what scoring and choosing took, or None.
        choices: criterion, structure, distribution, schedule and seed.
        histogram: {"kept": counts, "pruned": counts, "edges": log10 of |score|}, or None.
        warnings: emptied weights and dead units, in words.
        notes: what the figures do not know, in words.
        config: the run's settings.
        metrics: {name: value}, such as {"dense_accuracy": 0.98, "sparse_accuracy": 0.97}.
        history: {metric: value after each epoch}; None where a value is not finite.
        sections: {title: rows} of further tables, each row a dict of column: value.
        command: what runs this again, or "".
        versions: {package: version}.
    """

    name: str
    rows: list[Row]
    method: str | None = None
    asked: float | None = None
    sparsity: float = 0.0
    effective_sparsity: float = 0.0
    parameters: int = 0
    flops_dense: float = 0
    flops_sparse: float = 0
    bytes_dense: float = 0
    bytes_sparse: float = 0
    seconds: float | None = None
    choices: dict[str, Any] = dataclasses.field(default_factory=dict)
    histogram: dict[str, list[float]] | None = None
    warnings: list[str] = dataclasses.field(default_factory=list)
    notes: list[str] = dataclasses.field(default_factory=list)
    config: dict[str, Any] = dataclasses.field(default_factory=dict)
    metrics: dict[str, Any] = dataclasses.field(default_factory=dict)
    history: dict[str, list[float | None]] = dataclasses.field(default_factory=dict)
    sections: dict[str, Table] = dataclasses.field(default_factory=dict)
    command: str = ""
    versions: dict[str, str] = dataclasses.field(default_factory=dict)

    @property
    def total(self) -> int:
        """Number of prunable weights."""
        return sum(row.total for row in self.rows)

    @property
    def kept(self) -> int:
        """Number of those that are kept."""
        return sum(row.kept for row in self.rows)

    @property
    def is_pruned(self) -> bool:
        """Whether some weight has a mask."""
        return any(row.got is not None for row in self.rows)

    def to_dict(self) -> dict[str, Any]:
        """Returns the report as dicts, lists, strings and numbers; values that are not finite become None."""
        return plain(dataclasses.asdict(self))

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Report:
        """Returns the report that `to_dict` was called on."""
        rows = [Row(**{**row, "shape": tuple(row["shape"])}) for row in values["rows"]]
        return cls(**{**values, "rows": rows})

    def to_json(self, file: str | os.PathLike | None = None) -> str:
        """Returns the report as JSON, and writes it to `file` if one is given."""
        text = json.dumps(self.to_dict(), indent=2, allow_nan=False)
        if file is not None:
            with write_whole(file, "w") as stream:
                stream.write(text + "\n")
        return text

    def to_html(self, file: str | os.PathLike | None = None) -> str:
        """Returns one page that needs nothing beside it, and writes it to `file` if one is given."""
        from tf_pai.reporting.page import page

        text = page(self)
        if file is not None:
            with write_whole(file) as stream:
                stream.write(text.encode())
        return text

    def plot(self, file: str | os.PathLike | None = None) -> Any:
        """Returns a matplotlib figure of density per weight, scores and training, and saves it to `file` if given.

        Args:
            file: its ending says the format: .png, .svg or .pdf.
        """
        from tf_pai.reporting.plots import figure, save

        drawn = figure(self)
        if file is not None:
            save(drawn, file)
        return drawn

    def __str__(self) -> str:
        from tf_pai.reporting.table import as_text

        return as_text(self)

    def _repr_html_(self) -> str:
        from tf_pai.reporting.page import fragment

        return fragment(self)


def plain(value: Any) -> Any:
    """Returns a value as JSON can hold it: numpy's numbers and arrays as Python's, nan and infinities as None."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, np.ndarray)):
        return [plain(item) for item in value]
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, (bool, int, str)):
        return value
    return str(value)
