"""The report in a terminal."""

from __future__ import annotations

import io
from typing import Any

from tf_pai.reporting.document import Report, Row
from tf_pai.reporting.wording import headline, percent, short, speed, times, totals, value

WIDTH = 80
FIGURES = 54  # columns that all but the path take at most


def show(report: Report, console: Any = None) -> None:
    """Prints a report.

    Args:
        report: what to print.
        console: a rich console; default: one on standard output, at least as wide as the table needs.
    """
    from rich.console import Console

    console = console or Console(highlight=False)
    if not console.is_terminal and console.width < WIDTH:
        console.width = WIDTH
    console.print(headline(report), style="bold", markup=False)
    console.print(_weights(report, console.width - FIGURES))
    console.print(_pairs(totals(report)))
    for title, pairs in (("metrics", report.metrics), ("settings", report.config)):
        if pairs:
            console.print(_pairs([(name, value(item)) for name, item in pairs.items()], title))
    for title, rows in report.sections.items():
        console.print(_section(title, rows))
    for line in report.warnings:
        console.print(f"Warning: {line}", style="yellow", markup=False)
    for line in [*report.notes, speed(report)]:
        console.print(line, markup=False)


def as_text(report: Report) -> str:
    """Returns what `show` prints, in 80 columns without colours."""
    from rich.console import Console

    stream = io.StringIO()
    show(report, Console(file=stream, width=WIDTH, highlight=False, color_system=None))
    return "\n".join(line.rstrip() for line in stream.getvalue().splitlines())


def _table(title: str = "", gap: int = 1, **options: Any) -> Any:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    options |= {"title": Text(title) if title else None, "title_justify": "left"}
    return Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, gap, 0, 0), **options)


def _weights(report: Report, room: int) -> Any:
    table = _table(show_footer=True, gap=0)
    flops = _arrow(report.flops_dense, report.flops_sparse)
    kept = _of(report.kept, report.total)
    table.add_column("weight", "total", overflow="fold", ratio=1)
    table.add_column("shape", no_wrap=False, overflow="fold")
    table.add_column("asked", percent(report.asked), justify="right", no_wrap=True)
    table.add_column("got", percent(report.sparsity if report.is_pruned else None), justify="right", no_wrap=True)
    table.add_column("kept", kept, justify="right", no_wrap=True)
    table.add_column("FLOPs", flops, justify="right", no_wrap=True)
    for row in report.rows:
        table.add_row(*_cells(row, room), style="yellow" if row.kept == 0 else None)
    return table


def _cells(row: Row, room: int) -> list[Any]:
    from rich.text import Text

    layer, slash, name = row.path.rpartition("/")
    path = row.path if len(row.path) <= room else f"{layer}\n  {slash}{name}"
    counts = [_of(row.kept, row.total), _arrow(row.flops_dense, row.flops_sparse)]
    return [Text(path), times(row.shape), percent(row.asked), percent(row.got), *counts]


def _of(kept: int, total: int) -> str:
    return short(total) if kept == total else f"{short(kept)}/{short(total)}"


def _arrow(dense: float, sparse: float) -> str:
    return short(dense) if dense == sparse else f"{short(dense)}->{short(sparse)}"


def _pairs(pairs: list[tuple[str, str]], title: str = "") -> Any:
    from rich.text import Text

    table = _table(title, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, text in pairs:
        table.add_row(Text(name), Text(text))
    return table


def _section(title: str, rows: list[dict[str, Any]]) -> Any:
    from rich.text import Text

    table = _table(title)
    columns = list(dict.fromkeys(name for row in rows for name in row))
    for name in columns:
        table.add_column(Text(name), overflow="fold")
    for row in rows:
        table.add_row(*(Text(value(row.get(name))) for name in columns))
    return table
