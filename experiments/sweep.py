"""Compares methods over sparsities and seeds: a table of mean and deviation, as text, CSV and JSON.

  python -m experiments.sweep --methods=snip,grasp --sparsities=0.9,0.98 --seeds=5 --dataset=mnist --epochs=6

Each cell is a run of experiments.prune in its own folder: a killed sweep goes on where it was, and a larger one makes
only the runs that are missing.
"""

from experiments import quiet  # noqa: F401, isort: skip

import dataclasses
import pathlib
from typing import Any, ClassVar

import keras

from experiments.config import digest, launch, setting
from experiments.running import execute, finished
from experiments.settings import Settings, method_names
from experiments.table import mean_and_deviation, show, write


@dataclasses.dataclass(frozen=True)
class Sweep(Settings):
    """Runs that differ in method, sparsity and seed."""

    unread: ClassVar[tuple[str, ...]] = ("method", "sparsity")

    methods: tuple[str, ...] = setting(
        ("dense", "snip", "grasp", "synflow", "magnitude", "random"),
        "Methods to compare; dense is run once, at sparsity 0.",
        method_names,
    )
    sparsities: tuple[float, ...] = setting((0.9, 0.98), "Sparsities to compare them at.")
    seeds: int = setting(5, "Number of seeds, from --seed on.")

    def cells(self) -> list[Settings]:
        """Returns the settings of every run, seed by seed."""
        if self.seeds < 1 or not self.methods or not self.sparsities:
            raise ValueError("A sweep has a method, a sparsity and a seed at least. Received: none of one of them.")
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(Settings)}
        pairs = [(m, s) for m in self.methods for s in ((0.0,) if m == "dense" else self.sparsities)]
        seeds = range(self.seed, self.seed + self.seeds)
        return [Settings(**{**values, "method": m, "sparsity": s, "seed": n}) for n in seeds for m, s in pairs]


def main(config: Sweep) -> None:
    """Makes the runs that are missing, and prints and stores the table."""
    cells, results = config.cells(), []
    for number, settings in enumerate(cells, start=1):
        if finished(settings) is None:
            print(f"[{number}/{len(cells)}] {settings.folder.name} seed {settings.seed}", flush=True)
            keras.utils.clear_session()
        results.append(execute(settings))
        _write(config, cells, results)
    show(f"test accuracy in %, {config.seeds} seeds", *_table(config, cells, results))
    print(f"Figures: {_file(config)}.csv and .json")


def _table(config: Sweep, cells: list[Settings], results: list[dict[str, Any]]) -> tuple[list[str], list[list[str]]]:
    groups: dict[tuple[str, float], list[float]] = {}
    for settings, metrics in zip(cells, results, strict=True):
        groups.setdefault((settings.method, settings.sparsity), []).append(metrics["accuracy"])
    sparsities = list(dict.fromkeys(s for _, s in groups))
    head = ["method", *(f"sparsity {s:g}" if s else "dense" for s in sparsities)]
    rows = [
        [m, *(mean_and_deviation(groups[m, s]) if (m, s) in groups else "" for s in sparsities)] for m in config.methods
    ]
    return head, rows


def _write(config: Sweep, cells: list[Settings], results: list[dict[str, Any]]) -> None:
    """Writes what is there so far, one row per run."""
    rows = [
        {"method": s.method, "sparsity": s.sparsity, "seed": s.seed, "folder": str(s.folder), **metrics}
        for s, metrics in zip(cells, results, strict=False)
    ]
    write(_file(config), rows)


def _file(config: Sweep) -> pathlib.Path:
    return pathlib.Path(config.runs) / f"sweep-{config.network.replace(':', '-')}-{config.dataset}-{digest(config)}"


if __name__ == "__main__":
    launch(Sweep, main)
