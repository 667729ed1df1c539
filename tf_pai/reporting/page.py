"""The report as one HTML page that needs nothing beside it: no script, no font, no picture from elsewhere."""

from __future__ import annotations

import html
from collections.abc import Iterable, Iterator
from typing import Any

from tf_pai.reporting.document import Report, Row
from tf_pai.reporting.plots import panels, svg
from tf_pai.reporting.style import BODY_STYLE, STYLE
from tf_pai.reporting.wording import headline, percent, short, speed, times, totals, value

LONGEST = 40  # rows of a further table


def page(report: Report) -> str:
    """Returns the whole page."""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{_text('Pruning report: ' + report.name)}</title>\n<style>{BODY_STYLE}</style>\n</head>\n"
        f"<body>\n<main>\n{fragment(report)}\n</main>\n</body>\n</html>\n"
    )


def fragment(report: Report) -> str:
    """Returns the page's content, with its style, to stand in another page."""
    return "\n".join([f'<div class="tf-pai"><style>{STYLE}</style>', *_parts(report), "</div>"])


def _parts(report: Report) -> Iterator[str]:
    yield f"<h1>{_text(headline(report))}</h1>"
    if report.warnings:
        lines = "".join(f"<p><strong>Warning:</strong> {_text(line)}</p>" for line in report.warnings)
        yield f'<div class="warnings" role="note">{lines}</div>'
    yield _figures([*((name, value(item)) for name, item in report.metrics.items()), *totals(report)])
    yield f"<p>{_text(speed(report))}</p>"
    yield from _plots(report)
    yield from _weights(report)
    for title, rows in report.sections.items():
        yield from _section(title, rows)
    settings = {**report.config, **report.choices}
    if settings:
        yield from _section("Settings", [{"setting": name, "value": item} for name, item in settings.items()])
    yield from _reproduction(report)


def _figures(pairs: Iterable[tuple[str, str]]) -> str:
    cells = "".join(f"<div><dt>{_text(name)}</dt><dd>{_text(text)}</dd></div>" for name, text in pairs)
    return f"<dl>{cells}</dl>".replace("-&gt;", "&rarr;")


def _plots(report: Report) -> Iterator[str]:
    drawn = panels(report)
    if drawn:
        yield "<h2>Plots</h2>"
    for panel in drawn:
        yield f'<figure {_SCROLLS} aria-label="Plot: {_text(panel.title)}">{svg(report, panel)}</figure>'


_SCROLLS = 'tabindex="0" role="group"'  # what scrolls sideways can be reached by keyboard


def _weights(report: Report) -> Iterator[str]:
    head = ["weight", "shape", "sparsity asked", "got", "kept", "of", "FLOPs dense", "sparse", "dead units"]
    foot = [
        *("total", "", percent(report.asked), percent(report.sparsity if report.is_pruned else None)),
        *(f"{report.kept:,}", f"{report.total:,}", short(report.flops_dense), short(report.flops_sparse), ""),
    ]
    yield "<h2>Weights</h2>"
    yield f'<div class="scroll" {_SCROLLS} aria-label="Table of the weights"><table>'
    yield f"<thead><tr>{_cells(head, 'th', first=2)}</tr></thead><tbody>"
    for row in report.rows:
        yield _row(row)
    yield f"</tbody><tfoot><tr>{_cells(foot, 'td', first=2)}</tr></tfoot></table></div>"
    if any(row.note for row in report.rows):
        yield '<p class="soft">* see the notes below</p>'


def _row(row: Row) -> str:
    figures = [
        *(percent(row.asked), percent(row.got), f"{row.kept:,}", f"{row.total:,}"),
        *(short(row.flops_dense) + ("*" if row.note else ""), short(row.flops_sparse)),
        "-" if row.dead is None else str(row.dead),
    ]
    bar = f'<span class="bar" aria-hidden="true"><i style="width:{100 * row.density:.2f}%"></i></span>'
    empty = ' class="empty"' if row.kept == 0 else ""
    return (
        f'<tr{empty}><th scope="row">{_text(row.path)}{bar}</th><td>{_text(times(row.shape))}</td>'
        f"{_cells(figures, 'td', first=0)}</tr>"
    )


def _cells(texts: list[str], tag: str, first: int) -> str:
    """Cells of one row; those from `first` on are numbers."""
    scope = ' scope="col"' if tag == "th" else ""
    kinds = ["" if place < first else ' class="number"' for place in range(len(texts))]
    return "".join(f"<{tag}{scope}{kind}>{_text(text)}</{tag}>" for text, kind in zip(texts, kinds, strict=True))


def _section(title: str, rows: list[dict[str, Any]]) -> Iterator[str]:
    columns = list(dict.fromkeys(name for row in rows for name in row))
    shown = rows[:: -(-len(rows) // LONGEST)] if rows else rows
    yield f"<h2>{_text(title)}</h2>"
    if len(shown) < len(rows):
        shown = [*shown, *([] if shown[-1] is rows[-1] else rows[-1:])]
        yield f'<p class="soft">{len(shown)} of {len(rows):,} rows, evenly spaced; report.to_json() has all.</p>'
    yield f'<div class="scroll" {_SCROLLS} aria-label="Table: {_text(title)}"><table>'
    yield f"<thead><tr>{_cells(columns, 'th', first=len(columns))}</tr></thead><tbody>"
    for row in shown:
        yield f"<tr>{_cells([value(row.get(name)) for name in columns], 'td', first=len(columns))}</tr>"
    yield "</tbody></table></div>"


def _reproduction(report: Report) -> Iterator[str]:
    yield "<h2>How to reproduce this</h2>"
    if report.command:
        yield f"<pre><code>{_text(report.command)}</code></pre>"
    seed = report.choices.get("seed")
    if seed is not None:
        yield (
            f"<p>With seed={_text(value(seed))}, the same settings, data and initial weights give the same masks, bit "
            "for bit.</p>"
        )
    versions = ", ".join(f"{name} {version}" for name, version in report.versions.items())
    yield f'<p class="soft">{_text(versions)}</p>'
    for note in report.notes:
        yield f'<p class="soft">* {_text(note)}</p>'


def _text(text: str) -> str:
    return html.escape(str(text), quote=True)
