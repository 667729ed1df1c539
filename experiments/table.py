"""Means and deviations over seeds, as a table in the terminal, CSV and JSON."""

from __future__ import annotations

import csv
import json
import pathlib
import statistics
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from tf_pai.files import write_whole


def mean_and_deviation(accuracies: Sequence[float]) -> str:
    """Returns mean and sample standard deviation in percent.

    >>> mean_and_deviation([0.97, 0.98])
    '97.50 ± 0.71'
    >>> mean_and_deviation([0.97])
    '97.00'
    """
    mean = f"{100 * statistics.fmean(accuracies):.2f}"
    return mean if len(accuracies) < 2 else f"{mean} ± {100 * statistics.stdev(accuracies):.2f}"


def show(title: str, head: Sequence[str], rows: Sequence[Sequence[str]], console: Console | None = None) -> None:
    """Prints a table whose first column holds names, the others figures."""
    table = Table(title=title, title_justify="left")
    for i, name in enumerate(head):
        table.add_column(name, justify="right" if i else "left", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    (console or Console()).print(table)


def write(file: pathlib.Path, rows: Sequence[dict[str, Any]]) -> None:
    """Writes rows to `file` with the endings .csv and .json."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with write_whole(file.with_suffix(".json"), "w") as stream:
        json.dump(list(rows), stream, indent=2)
    with write_whole(file.with_suffix(".csv"), "w") as stream:
        writer = csv.DictWriter(stream, list(dict.fromkeys(name for row in rows for name in row)))
        writer.writeheader()
        writer.writerows(rows)
