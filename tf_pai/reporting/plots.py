"""The report's plots: density per weight, scores kept and pruned, accuracy over the epochs, tables over steps."""

from __future__ import annotations

import dataclasses
import html
import io
import os
import pathlib
import re
from collections.abc import Callable
from typing import Any

from tf_pai.files import write_whole
from tf_pai.reporting.document import Report
from tf_pai.reporting.wording import percent

KEPT, PRUNED = "#3b82c4", "#d97b29"  # told apart by all common kinds of colour vision, and on white as on black
NAMED = 40  # more bars than this get no names
LABELLED = 6  # more curves than this get a scale of colours in place of a legend
STEP = "step"  # the column over which a table's other columns are drawn
WIDTH = 7.5  # inches
_INK = "#010203"  # stands for the text's colour in an SVG, until it is replaced
FORMATS = ("png", "svg", "pdf")


@dataclasses.dataclass(frozen=True)
class Panel:
    """One plot.

    Attributes:
        title: its title.
        alt: what it shows, in words.
        height: its height in inches.
        draw: draws it on matplotlib axes.
    """

    title: str
    alt: str
    height: float
    draw: Callable[[Any], None]


def panels(report: Report) -> list[Panel]:
    """Returns the plots that the report has figures for."""
    found = [_density(report)] if report.rows else []
    if report.histogram is not None:
        found.append(_scores(report.histogram))
    curves = _curves_of(report)
    if curves:
        found.append(_training(curves))
    tables = ((title, rows) for title, rows in report.sections.items() if len(rows) > 1 and STEP in rows[0])
    return found + [_over_steps(title, rows) for title, rows in tables]


def figure(report: Report, chosen: list[Panel] | None = None, ink: str = "black") -> Any:
    """Returns a matplotlib figure of the panels, one above the other; no window and no global state is involved.

    Args:
        report: what is plotted.
        chosen: its panels; default: all.
        ink: colour of text and axes.
    """
    from matplotlib.figure import Figure

    chosen = panels(report) if chosen is None else chosen
    heights = [panel.height for panel in chosen]
    drawn = Figure(figsize=(WIDTH, sum(heights) or 1), layout="constrained")
    grid: Any = drawn.subplots(len(chosen), 1, squeeze=False, height_ratios=heights)[:, 0] if chosen else []
    for axes, panel in zip(grid, chosen, strict=True):
        panel.draw(axes)
        axes.set_title(panel.title, loc="left", color=ink, fontsize=11)
        _ink(axes, ink)
    return drawn


def save(drawn: Any, file: str | os.PathLike) -> None:
    """Writes a figure in the format that the file's ending says.

    Raises:
        ValueError: another ending.
    """
    ending = pathlib.Path(file).suffix.lstrip(".").lower()
    if ending not in FORMATS:
        raise ValueError(f"A plot is saved as {', '.join('.' + f for f in FORMATS)}. Received: {os.fspath(file)!r}.")
    with write_whole(file) as stream:
        drawn.savefig(stream, format=ending, dpi=150)


def svg(report: Report, panel: Panel) -> str:
    """Returns a panel as an SVG element to stand in a page: text in the page's colour, no reference to the outside."""
    import matplotlib

    stream = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "tf_pai"}):
        figure(report, [panel], ink=_INK).savefig(stream, format="svg", transparent=True, metadata={"Date": None})
    text = stream.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r' xmlns(:\w+)?="[^"]*"| width="[\d.]+pt"| height="[\d.]+pt"', "", text)
    label = html.escape(panel.alt, quote=True)
    return text.replace(_INK, "currentColor").replace("<svg", f'<svg role="img" aria-label="{label}"', 1)


def _ink(axes: Any, ink: str) -> None:
    axes.tick_params(colors=ink, labelsize=8)
    for label in (axes.xaxis.label, axes.yaxis.label):
        label.set_color(ink)
        label.set_fontsize(9)
    for side, spine in axes.spines.items():
        spine.set_color(ink)
        spine.set_visible(side in ("left", "bottom"))
    legend = axes.get_legend()
    for text in legend.get_texts() if legend else []:
        text.set_color(ink)
    for text in axes.texts:
        text.set_color(ink)


def _density(report: Report) -> Panel:
    rows = report.rows
    few = len(rows) <= NAMED
    least, most = (choose(rows, key=lambda row: row.density) for choose in (min, max))
    alt = (
        f"Density of {len(rows)} weights, from {percent(least.density)} ({least.path}) to {percent(most.density)} "
        f"({most.path})."
    )
    height = 1.1 + 0.24 * len(rows) if few else 3.2
    title = "Density per weight" if few else f"Density per weight, {len(rows)} weights in model order"
    return Panel(title, alt, height, lambda axes: (_named_bars if few else _many_bars)(axes, report))


def _named_bars(axes: Any, report: Report) -> None:
    rows = report.rows
    places = range(len(rows))
    axes.barh(places, [row.density for row in rows], color=KEPT, height=0.7, label="kept")
    style = {"color": PRUNED, "markersize": 12, "markeredgewidth": 2, "label": "asked"}
    _mark_asked(report, lambda x, y: axes.plot(x, y, "|", **style))
    axes.set_yticks(places, [_shortened(row.path) for row in rows])
    axes.invert_yaxis()
    right = max([row.density for row in rows] + [1 - row.asked for row in rows if row.asked is not None])
    axes.set_xlim(0, (right or 1) * 1.12)
    for place, row in zip(places, rows, strict=True):
        edge = max(row.density, 0 if row.asked is None else 1 - row.asked)
        axes.annotate(percent(row.density), (edge, place), (5, 0), textcoords="offset points", va="center", fontsize=8)
    axes.xaxis.set_major_formatter(_percent_ticks())
    axes.set_xlabel("fraction of weights kept")
    _legend(axes)


def _many_bars(axes: Any, report: Report) -> None:
    axes.bar(range(len(report.rows)), [row.density for row in report.rows], color=KEPT, width=1.0, label="kept")
    _mark_asked(report, lambda x, y: axes.plot(y, x, "_", color=PRUNED, markersize=4, label="asked"))
    axes.set_xlabel("weights, in model order")
    axes.set_ylabel("fraction kept")
    axes.yaxis.set_major_formatter(_percent_ticks())
    axes.set_ylim(0, None)
    _legend(axes)


def _mark_asked(report: Report, mark: Callable[[list[float], list[int]], Any]) -> None:
    known = [(1 - row.asked, place) for place, row in enumerate(report.rows) if row.asked is not None]
    if known:
        mark([density for density, _ in known], [place for _, place in known])


def _percent_ticks() -> Any:
    from matplotlib.ticker import PercentFormatter

    return PercentFormatter(1.0)


def _shortened(path: str, length: int = 38) -> str:
    return path if len(path) <= length else "\N{HORIZONTAL ELLIPSIS}" + path[1 - length :]


def _legend(axes: Any) -> None:
    """A legend above the plot, beside the title, where no bar can hide it."""
    axes.legend(loc="lower right", bbox_to_anchor=(1, 0.99), ncols=4, fontsize=8, frameon=False)


def _scores(histogram: dict[str, list[float]]) -> Panel:
    kept, pruned, edges = (histogram[name] for name in ("kept", "pruned", "edges"))

    def draw(axes: Any) -> None:
        both = [a + b for a, b in zip(kept, pruned, strict=True)]
        axes.stairs(both, edges, baseline=pruned, fill=True, color=KEPT, label="kept")
        axes.stairs(pruned, edges, fill=True, color=PRUNED, label="pruned")
        axes.set_xlabel("log10 of |score|")
        axes.set_ylabel("weights")
        axes.ticklabel_format(axis="y", style="plain", useOffset=False)
        _legend(axes)

    alt = (
        f"Histogram of {sum(kept) + sum(pruned):,.0f} scores by magnitude, from 1e{edges[0]:.1f} to 1e{edges[-1]:.1f}: "
        f"{sum(kept):,.0f} kept, {sum(pruned):,.0f} pruned."
    )
    return Panel("Scores in the last round", alt, 2.8, draw)


def _curves_of(report: Report) -> dict[str, list[float | None]]:
    """The accuracies, or the losses of a training without one."""
    for word in ("acc", "loss"):
        found = {name: values for name, values in report.history.items() if word in name and values}
        if found:
            return found
    return {}


def _training(curves: dict[str, list[float | None]]) -> Panel:
    styles = {name: ("-" if name.startswith("val_") else "--") for name in curves}

    def draw(axes: Any) -> None:
        for place, (name, values) in enumerate(curves.items()):
            known = [float("nan") if v is None else v for v in values]
            look = {"marker": "o", "markersize": 3, "color": f"C{place}", "label": name}
            axes.plot(range(1, len(known) + 1), known, styles[name], **look)
        axes.set_xlabel("epoch")
        axes.xaxis.get_major_locator().set_params(integer=True)
        _legend(axes)

    ends = ", ".join(f"{name} ends at {values[-1]:.4g}" for name, values in curves.items() if values[-1] is not None)
    return Panel("Training", f"Curves over {max(map(len, curves.values()))} epochs: {ends}.", 2.8, draw)


def _over_steps(title: str, rows: list[dict[str, Any]]) -> Panel:
    names = [name for name, value in rows[0].items() if name != STEP and isinstance(value, (int, float))]
    steps = [row[STEP] for row in rows]

    def draw(axes: Any) -> None:
        import matplotlib

        few = len(names) <= LABELLED
        shades = matplotlib.colormaps["viridis"].resampled(len(names))
        for place, name in enumerate(names):
            values = [float("nan") if row.get(name) is None else row[name] for row in rows]
            label = _shortened(name) if few or place in (0, len(names) - 1) else None
            axes.plot(steps, values, color=f"C{place}" if few else shades(place), label=label, linewidth=1.2)
        axes.set_xlabel(STEP)
        axes.set_ylim(0, None)
        _legend_below(axes)

    ends = ", ".join(f"{name} {rows[0][name]:.4g} to {rows[-1][name]:.4g}" for name in names)
    return Panel(title, f"From step {steps[0]} to {steps[-1]}: {ends}.", 2.9, draw)


def _legend_below(axes: Any) -> None:
    """A legend under the plot, for names that may be long."""
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=2, fontsize=8, frameon=False)
