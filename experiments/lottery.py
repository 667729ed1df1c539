"""Lottery tickets: accuracy over density of a ticket and its controls, with seeds, as a table and a plot.

  python -m experiments.lottery --dataset=mnist --epochs=5 --seeds=5
  python -m experiments.lottery --network=resnet_20 --dataset=cifar10 --width=0.25 --epochs=10 --method=lth_plus

Each seed is a search in a folder of its own: a killed one goes on after its last complete epoch, and trainings that a
control or another command has made there are read.
"""

from experiments import quiet  # noqa: F401, isort: skip

import dataclasses
import pathlib
import re
import time
from collections.abc import Iterable
from typing import Any, ClassVar

import keras
import numpy as np
import tensorflow as tf

import tf_pai
from experiments.config import digest, launch, setting
from experiments.progress import TrainingProgress
from experiments.settings import Settings
from experiments.table import mean_and_deviation, show, write
from tf_pai import list_methods
from tf_pai.files import write_whole
from tf_pai.sanity.verdict import compared
from tf_pai.tickets import Bench, Routine, Ticket, reinitialized, shuffled
from tf_pai.tickets.runner import OWN

CONTROLS = ("reinit", "shuffle")
CONTROL_DENSITIES = (0.21, 0.108, 0.045, 0.0185)
NAMES = {"reinit": "re-initialized", "shuffle": "shuffled masks"}


@dataclasses.dataclass(frozen=True)
class Lottery(Settings):
    """Searches that differ in their seed, and what their tickets are compared with."""

    unread: ClassVar[tuple[str, ...]] = (
        *("score_per_class", "train_dense"),
        *("pruning_schedule", "min_keep", "compute"),  # of pruning at initialization
    )

    method: str = setting("lth", "How tickets are found.", lambda: [info.name for info in list_methods("tickets")])
    sparsity: float = setting(0.9815, "Fraction of the weights that the ticket has lost, in [0, 1).")
    epochs: int = setting(5, "Number of passes over the training data at each level.")
    rate: float = setting(0.2, "Fraction of the weights left that one level removes.")
    rounds: int = setting(0, "Number of levels; 0: as many as the rate takes.")
    rewind_to: str = setting("", "Step or epoch to rewind to, as 500it or 2ep; default: the method's own.")
    controls: tuple[str, ...] = setting(CONTROLS, "What the tickets are compared with.", lambda: CONTROLS)
    control_densities: tuple[float, ...] = setting(CONTROL_DENSITIES, "Densities at which they are.")
    seeds: int = setting(5, "Number of searches, with seeds from --seed on.", names_run=False)

    def one(self, seed: int) -> Settings:
        """Returns the settings of the search with this seed; controls and seeds are not in its folder's name."""
        shared = {"controls": CONTROLS, "control_densities": CONTROL_DENSITIES}
        return dataclasses.replace(self, **shared, seed=seed)  # type: ignore[arg-type] # names and types are right


def main(config: Lottery) -> None:
    """Makes the searches that are missing, and prints and stores table, verdicts and plot."""
    if config.seeds < 1:
        raise ValueError(f"--seeds is a number of searches, 1 or more. Received: --seeds={config.seeds}.")
    rows: list[dict[str, Any]] = []
    for seed in range(config.seed, config.seed + config.seeds):
        rows += search(config, seed)
        write(_file(config), rows)
    head = ["level", "density", "ticket", *(NAMES[control] for control in config.controls)]
    table = [[str(level), f"{d:.4f}", *cells] for level, d, *cells in _table(config, rows)]
    show(f"test accuracy in %, {config.seeds} seeds", head, table)
    for line in verdicts(config, rows):
        print(line)
    plot(config, rows)
    print(f"Figures: {_file(config)}.csv, .json and .png")


def search(config: Lottery, seed: int) -> list[dict[str, Any]]:
    """Finds one ticket, trains it and its controls, and returns one row per training."""
    keras.utils.clear_session()
    settings = config.one(seed)
    if settings.deterministic:
        keras.utils.set_random_seed(seed)
        tf.config.experimental.enable_op_determinism()
    data = settings.load_data()
    shown = Shown(f"seed {seed}")
    common = {"data": data.train, "validation_data": data.test(), "epochs": config.epochs}
    ticket = tf_pai.find_ticket(
        settings.model_maker(data)(),
        config.method,
        config.sparsity,
        **common,
        rounds=config.rounds or None,
        rate=config.rate,
        rewind_to=config.rewind_to or None,
        run_dir=settings.folder,
        seed=seed,
        callbacks=shown,
        **search_options(settings),
        verbose=0,
    )
    routine = Routine(**common, seed=seed, callbacks=shown, verbose=0)
    bench = Bench(ticket.model, routine, list(ticket.masks), settings.folder / "trainings")
    levels = [level for level in ticket.history if "accuracy" in level]
    rows = [{"seed": seed, "network": "ticket", **level} for level in levels]
    rows.append(_trained(bench, ticket, len(ticket.history), "ticket", seed))
    of_known_masks = rows if ticket.scores is not None else rows[-1:]
    for level in _levels(of_known_masks, config.control_densities):
        rows += [_trained(bench, ticket, level, control, seed) for control in config.controls]
    shown.close()
    return rows


def search_options(config: Settings) -> dict[str, Any]:
    """Returns what is given of the arguments of `find_ticket`: its own, and the method's, "options"."""
    given = config.method_options()
    flags = {"rounds", "rate", "rewind_to"} & {field.name for field in dataclasses.fields(config)}
    own = {name: given.pop(name) for name in OWN if name in given and name not in flags}
    return {**own, "options": given}


def _trained(bench: Bench, ticket: Ticket, level: int, network: str, seed: int) -> dict[str, Any]:
    """Trains the ticket, or a control of it, at one level."""
    values, masks = ticket.initial_weights, ticket.masks_at(level)
    kernels = [mask for mask in masks.values() if mask.ndim >= 2]
    density = sum(int(mask.sum()) for mask in kernels) / sum(mask.size for mask in kernels)
    if network == "reinit":
        values = reinitialized(bench.model, values, masks, seed)
    elif network == "shuffle":
        masks = shuffled(masks, seed)
    name = f"level {level}" if network == "ticket" else f"level {level}, {network}"
    trained = bench.train(values, masks, name, step=ticket.step)
    return {"seed": seed, "network": network, "level": level, "density": density, **trained.metrics}


def _levels(rows: list[dict[str, Any]], densities: Iterable[float]) -> list[int]:
    """The levels whose densities are nearest to those asked for."""
    known = np.array([row["density"] for row in rows])
    return sorted({rows[int(np.abs(np.log(known / density)).argmin())]["level"] for density in densities})


class Shown:
    """Callbacks that show the progress over levels, epochs and steps, with the time left.

    Args:
        title: what is run.
    """

    def __init__(self, title: str):
        self.title, self.began = title, time.perf_counter()
        self.last: TrainingProgress | None = None

    def __call__(self, name: str) -> list[keras.callbacks.Callback]:
        """Returns the callbacks of one training, called `name`: "level 3/18"."""
        self.close()
        self.last = TrainingProgress(f"{self.title}, {name}{self._left(name)}")
        return [self.last]

    def _left(self, name: str) -> str:
        level = re.fullmatch(r"level (\d+)/(\d+)", name)
        done, levels = (int(level[1]), int(level[2])) if level else (0, 0)
        minutes = (time.perf_counter() - self.began) / 60 * (levels / done - 1) if done else 0
        return f" ({minutes:.0f} min left)" if minutes >= 1 else ""

    def close(self) -> None:
        """Gives the terminal back."""
        if self.last is not None:
            self.last.close()


def _table(config: Lottery, rows: list[dict[str, Any]]) -> list[list[Any]]:
    levels = sorted({row["level"] for row in rows})
    return [
        [level, _density(rows, level), *(_cell(rows, level, name) for name in ("ticket", *config.controls))]
        for level in levels
    ]


def _density(rows: list[dict[str, Any]], level: int) -> float:
    return next(row["density"] for row in rows if row["level"] == level)


def _accuracies(rows: list[dict[str, Any]], level: int, network: str) -> list[float]:
    return [row["accuracy"] for row in rows if (row["level"], row["network"]) == (level, network)]


def _cell(rows: list[dict[str, Any]], level: int, network: str) -> str:
    accuracies = _accuracies(rows, level, network)
    return mean_and_deviation(accuracies) if accuracies else ""


def verdicts(config: Lottery, rows: list[dict[str, Any]]) -> list[str]:
    """Returns a sentence for each level and control, where there are two seeds or more."""
    found = []
    for level in sorted({row["level"] for row in rows}):
        for control in config.controls:
            controls = _accuracies(rows, level, control)
            if len(controls) > 1:
                finding = compared(control, NAMES[control], _accuracies(rows, level, "ticket"), controls, 0.003)
                found.append(f"density {_density(rows, level):.4f}, {finding.verdict}")
    return found


def plot(config: Lottery, rows: list[dict[str, Any]]) -> None:
    """Draws accuracy over density, with the deviation over seeds."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    for network in ("ticket", *config.controls):
        levels = sorted({row["level"] for row in rows if row["network"] == network})
        groups = [np.array(_accuracies(rows, level, network)) * 100 for level in levels]
        axes.errorbar(
            [_density(rows, level) for level in levels],
            [group.mean() for group in groups],
            yerr=[group.std(ddof=1) if len(group) > 1 else 0 for group in groups],
            marker="o",
            markersize=3,
            capsize=2,
            label=NAMES.get(network, network),
        )
    axes.set_xscale("log")
    axes.invert_xaxis()
    axes.set_xlabel("density")
    axes.set_ylabel("test accuracy in %")
    axes.legend(frameon=False)
    with write_whole(_file(config).with_suffix(".png")) as stream:
        figure.savefig(stream, format="png", dpi=150)


def _file(config: Lottery) -> pathlib.Path:
    name = f"lottery-{config.network.replace(':', '-')}-{config.dataset}-{digest(config)}"
    return pathlib.Path(config.runs) / name


if __name__ == "__main__":
    launch(Lottery, main)
