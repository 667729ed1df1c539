"""Rewinding: tickets rewound to an early step beside tickets reset to the initialization, level by level, with seeds.

  python -m experiments.rewinding --network=resnet_20 --dataset=cifar10 --width=0.25 --epochs=10 --rate=0.9

Both searches prune alike, the largest trained weights of all layers, and differ only in the step that their tickets go
back to. Each is a run of experiments.lottery in its own folder: a killed one goes on where it was.
"""

from experiments import quiet  # noqa: F401, isort: skip

import dataclasses
import pathlib
from typing import Any, ClassVar

from experiments.config import digest, launch, setting
from experiments.dynamic import interval
from experiments.lottery import Lottery, search
from experiments.table import mean_and_deviation, show, write

RESET = "0it"


@dataclasses.dataclass(frozen=True)
class Rewinding(Lottery):
    """Searches that differ in their seed, and in where they go back to."""

    unread: ClassVar[tuple[str, ...]] = (*Lottery.unread, "controls", "control_densities")

    method: str = setting("lth_plus", "How tickets are found.", lambda: ["lth", "lth_plus"])
    sparsity: float = setting(0.95, "Fraction of the weights that the tickets have lost, in [0, 1).")
    rewind_to: str = setting("1ep", "Step or epoch to rewind to, as 500it or 2ep; beside it stands 0it.")
    controls: tuple[str, ...] = setting((), "There are none.")
    seeds: int = setting(3, "Number of searches of each kind, with seeds from --seed on.", names_run=False)

    def arm(self, rewind_to: str) -> Lottery:
        """Returns the searches that go back to this step, as experiments.lottery has them."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(Lottery)}
        return Lottery(**{**values, "rewind_to": rewind_to})


def main(config: Rewinding) -> None:
    """Makes the searches that are missing, and prints and stores the table."""
    if config.seeds < 1:
        raise ValueError(f"--seeds is a number of searches, 1 or more. Received: --seeds={config.seeds}.")
    if config.rewind_to == RESET:
        raise ValueError(f"--rewind_to is a step after {RESET}, which stands beside it. Received: --rewind_to={RESET}.")
    rows: list[dict[str, Any]] = []
    for seed in range(config.seed, config.seed + config.seeds):
        for rewind_to in (config.rewind_to, RESET):
            rows += [{"rewind_to": rewind_to, **row} for row in search(config.arm(rewind_to), seed)]
            write(_file(config), rows)
    head = ["density", f"rewound to {config.rewind_to}", "reset to 0", "difference, 95 %"]
    show(f"test accuracy in %, {config.seeds} seeds", head, table(config, rows))
    print(f"Figures: {_file(config)}.csv and .json")


def table(config: Rewinding, rows: list[dict[str, Any]]) -> list[list[str]]:
    """Returns a line per level: density, both accuracies, and their paired difference in points with its interval.

    >>> rows = [
    ...     {"rewind_to": step, "level": 1, "density": 0.1, "accuracy": (80 + gain + seed) / 100}
    ...     for seed in (0, 1) for step, gain in (("1ep", 1), ("0it", 0))
    ... ]
    >>> table(Rewinding(seeds=2), rows)
    [['0.1000', '81.50 ± 0.71', '80.50 ± 0.71', '+1.00 [+1.00, +1.00]']]
    """
    lines = []
    for level in sorted({row["level"] for row in rows}):
        rewound, reset = (
            [row["accuracy"] for row in rows if (row["level"], row["rewind_to"]) == (level, step)]
            for step in (config.rewind_to, RESET)
        )
        density = next(row["density"] for row in rows if row["level"] == level)
        gains = [100 * (a - b) for a, b in zip(rewound, reset, strict=True)]
        difference = interval(gains) if len(gains) > 1 else f"{gains[0]:+.2f}"
        lines.append([f"{density:.4f}", mean_and_deviation(rewound), mean_and_deviation(reset), difference])
    return lines


def _file(config: Rewinding) -> pathlib.Path:
    name = f"rewinding-{config.network.replace(':', '-')}-{config.dataset}-{digest(config)}"
    return pathlib.Path(config.runs) / name


if __name__ == "__main__":
    launch(Rewinding, main)
