"""Compares masks that move with one that does not: static ERK, SET, SNFS and RigL over densities, with seeds.

  python -m experiments.dynamic --dataset=mnist --epochs=6 --seeds=5
  python -m experiments.dynamic --network=resnet_20 --dataset=cifar10 --epochs=10 --densities=0.05,0.02 --seeds=3 \
      --methods=static,set,rigl --compute=sparse

All begin with the same weights, and with the same random masks, as ERK divides them; methods that start dense (dns,
topkast, granet, acdc) with masks of their own. Each cell is a run of experiments.prune in its own folder: a
killed comparison goes on where it was.
"""

from experiments import quiet  # noqa: F401, isort: skip

import dataclasses
import math
import pathlib
import statistics
from typing import Any, ClassVar

import keras

from experiments.config import digest, launch, setting
from experiments.running import execute, finished
from experiments.settings import Settings
from experiments.table import mean_and_deviation, show, write
from tf_pai import list_methods

STATIC = "static"
# 97.5 % quantiles of Student's t with 1, 2, ... degrees of freedom, for intervals of a mean over one seed more.
QUANTILES = (12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26)


def dynamic_names() -> list[str]:
    """Returns "static" and the names of the dynamic methods."""
    return [STATIC, *(info.name for info in list_methods("dynamic"))]


@dataclasses.dataclass(frozen=True)
class Dynamic(Settings):
    """Runs that differ in method, density and seed."""

    unread: ClassVar[tuple[str, ...]] = ("method", "sparsity")

    methods: tuple[str, ...] = setting((STATIC, "set", "snfs", "rigl"), "What to compare.", dynamic_names)
    densities: tuple[float, ...] = setting((0.1, 0.02, 0.005), "Fractions of the weights to keep.")
    seeds: int = setting(5, "Number of seeds, from --seed on.")
    update_every: str = setting("100it", "Steps or epochs between two updates of the masks.")
    drop_fraction: float = setting(0.3, "Fraction of the weights that the first update moves.")

    def cells(self) -> list[Settings]:
        """Returns the settings of every run, seed by seed."""
        if self.seeds < 1 or not self.methods or not self.densities:
            raise ValueError("A comparison has a method, a density and a seed at least. Received: none of one of them.")
        seeds = range(self.seed, self.seed + self.seeds)
        return [self._cell(m, d, n) for n in seeds for m in self.methods for d in self.densities]

    def _cell(self, method: str, density: float, seed: int) -> Settings:
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(Settings)}
        values |= {"sparsity": round(1 - density, 12), "seed": seed}
        if method == STATIC:
            return Settings(**{**values, "method": "random", "distribution": "erk"})
        moving = (f"update_every={self.update_every}", f"drop_fraction={self.drop_fraction}")
        return Settings(**{**values, "method": method, "options": (*self.options, *moving)})


def main(config: Dynamic) -> None:
    """Makes the runs that are missing, and prints and stores the table."""
    cells, results = config.cells(), []
    for number, settings in enumerate(cells, start=1):
        if finished(settings) is None:
            print(f"[{number}/{len(cells)}] {settings.folder.name} seed {settings.seed}", flush=True)
            keras.utils.clear_session()
        results.append(execute(settings))
        _write(config, cells, results)
    accuracies = _accuracies(config, results)
    head = ["masks", *(f"density {d:g}" for d in config.densities)]
    rows = [[m, *(mean_and_deviation(accuracies[m, d]) for d in config.densities)] for m in config.methods]
    show(f"test accuracy in %, {config.seeds} seeds", head, rows)
    if config.seeds > 1 and len(config.methods) > 1:
        head = ["masks", "density", "points [95 % interval]"]
        show("paired differences", head, differences(config, accuracies))
    print(f"Figures: {_file(config)}.csv and .json")


def _accuracies(config: Dynamic, results: list[dict[str, Any]]) -> dict[tuple[str, float], list[float]]:
    """Returns {(method, density): accuracy of each seed}."""
    places = [(m, d) for _ in range(config.seeds) for m in config.methods for d in config.densities]
    groups: dict[tuple[str, float], list[float]] = {}
    for place, metrics in zip(places, results, strict=True):
        groups.setdefault(place, []).append(metrics["accuracy"])
    return groups


def differences(config: Dynamic, accuracies: dict[tuple[str, float], list[float]]) -> list[list[str]]:
    """Returns rows of (two methods, density, mean difference of their accuracies in points with its interval)."""
    rows = []
    for i, a in enumerate(config.methods):
        for b in config.methods[i + 1 :]:
            for d in config.densities:
                points = [100 * (y - x) for x, y in zip(accuracies[a, d], accuracies[b, d], strict=True)]
                rows.append([f"{b} - {a}", f"{d:g}", interval(points)])
    return rows


def interval(values: list[float]) -> str:
    """Returns the mean and its 95 % interval, by Student's t; at least two values.

    >>> interval([1.0, 2.0, 3.0])
    '+2.00 [-0.48, +4.48]'
    """
    mean, freedom = statistics.fmean(values), len(values) - 1
    quantile = QUANTILES[freedom - 1] if freedom <= len(QUANTILES) else 2.26
    half = quantile * statistics.stdev(values) / math.sqrt(len(values))
    return f"{mean:+.2f} [{mean - half:+.2f}, {mean + half:+.2f}]"


def _write(config: Dynamic, cells: list[Settings], results: list[dict[str, Any]]) -> None:
    """Writes what is there so far, one row per run."""
    rows = [
        {"method": s.method, "density": round(1 - s.sparsity, 12), "seed": s.seed, "folder": str(s.folder), **metrics}
        for s, metrics in zip(cells, results, strict=False)
    ]
    write(_file(config), rows)


def _file(config: Dynamic) -> pathlib.Path:
    return pathlib.Path(config.runs) / f"dynamic-{config.network.replace(':', '-')}-{config.dataset}-{digest(config)}"


if __name__ == "__main__":
    launch(Dynamic, main)
