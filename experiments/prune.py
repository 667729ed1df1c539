"""Prunes a network, trains it, and reports: the main program of tf_pai.

  python -m experiments.prune
  python -m experiments.prune --method=grasp --sparsity=0.95 --dataset=mnist --epochs=6

The run folder, runs/<network>-<dataset>-<method>-<sparsity>-<hash>, gets config, metrics, masks, model and report.
A killed run goes on after its last complete epoch; a finished one is not run again.
"""

from experiments import quiet  # noqa: F401, isort: skip

import dataclasses

from rich.console import Console

from experiments.config import launch, setting
from experiments.running import execute, finished
from experiments.settings import Settings
from experiments.table import mean_and_deviation


@dataclasses.dataclass(frozen=True)
class Prune(Settings):
    """A run, or the same one with several seeds."""

    seeds: int = setting(1, "Number of runs, with seeds from --seed on.", names_run=False)


def main(config: Prune) -> None:
    """Makes the runs and prints their reports."""
    if config.seeds < 1:
        raise ValueError(f"--seeds is a number of runs, 1 or more. Received: --seeds={config.seeds}.")
    accuracies = []
    for seed in range(config.seed, config.seed + config.seeds):
        settings = single(config, seed)
        known = finished(settings) is not None
        accuracies.append(execute(settings)["accuracy"])
        report(settings, known)
    if len(accuracies) > 1:
        print(f"accuracy over {len(accuracies)} seeds: {mean_and_deviation(accuracies)} %")


def single(config: Prune, seed: int) -> Settings:
    """Returns the settings of one of the runs."""
    values = {field.name: getattr(config, field.name) for field in dataclasses.fields(Settings)}
    return Settings(**{**values, "seed": seed})


def report(settings: Settings, known: bool) -> None:
    """Prints the report of a finished run."""
    print((settings.folder / "report.txt").read_text())
    how = "This run was finished before, and was not run again" if known else "All of it"
    Console(soft_wrap=True).print(f"{how}: {settings.folder}", highlight=False)


if __name__ == "__main__":
    launch(Prune, main)
