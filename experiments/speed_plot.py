"""Speed-up over sparsity, one line per network, with the break-even marked."""

from __future__ import annotations

import itertools
import pathlib
from typing import Any

import numpy as np


def plot(rows: list[dict[str, Any]], file: pathlib.Path) -> None:
    """Draws plain dense / sparse step time over sparsity.

    Args:
        rows: of `experiments.speed`, whose "step" is the ratio to plain dense.
        file: the picture.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.add_subplot()
    axes.axhline(1, color="black", linewidth=1)
    names = list(dict.fromkeys(row["network"] for row in rows))
    longest = max((row["sparsity"] for row in rows), default=0)
    labels = itertools.count(1)
    for i, name in enumerate(names):
        sparsities, steps = _line(rows, name)
        colour = f"C{i}"
        axes.plot(_place(sparsities), 1 / steps, "o-", color=colour, label=name)
        even = break_even(sparsities, steps)
        if even is not None and longest:
            axes.axvline(_place(even), color=colour, linestyle=":", linewidth=1)
            below = (3, -12 * next(labels))  # one under the other: the lines lie close together
            axes.annotate(f"{100 * even:.0f} %", (_place(even), 1), color=colour, xytext=below, **_BESIDE)
    ticks = sorted({row["sparsity"] for row in rows if row["sparsity"]})
    axes.set_xticks([_place(tick) for tick in ticks], [f"{100 * tick:g} %" for tick in ticks])
    axes.set_yscale("log", base=2)
    axes.set_yticks([0.5, 1, 2, 4, 8, 16], ["1/2", "1", "2", "4", "8", "16"])
    axes.set_xlabel("sparsity")
    axes.set_ylabel("speed-up of a training step over plain dense Keras")
    axes.legend()
    figure.savefig(file, dpi=130)


_BESIDE: dict[str, Any] = {"textcoords": "offset points", "fontsize": 8}


def _line(rows: list[dict[str, Any]], name: str) -> tuple[np.ndarray, np.ndarray]:
    chosen = [row for row in rows if row["network"] == name and row["form"].startswith("sparse ")]
    chosen.sort(key=lambda row: row["sparsity"])
    return np.array([row["sparsity"] for row in chosen]), np.array([row["step"] for row in chosen])


def _place(sparsity: Any) -> Any:
    """Where a sparsity stands on the axis: halving the density is as far everywhere."""
    return -np.log2(1 - np.asarray(sparsity))


def break_even(sparsities: np.ndarray, steps: np.ndarray) -> float | None:
    """Returns the sparsity at which a step takes as long as dense, or None outside of what was measured.

    Args:
        sparsities: rising.
        steps: time of a step divided by that of a dense one.

    Example:
        >>> break_even(np.array([0.5, 0.75]), np.array([1.5, 0.5]))
        0.625
        >>> break_even(np.array([0.5, 0.75]), np.array([0.9, 0.5]))
    """
    above = np.flatnonzero(steps > 1)
    if not above.size or above[-1] == len(steps) - 1:
        return None
    i = above[-1]
    share = (steps[i] - 1) / (steps[i] - steps[i + 1])
    return float(sparsities[i] + share * (sparsities[i + 1] - sparsities[i]))
