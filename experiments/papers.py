"""Ticket papers beside LTH: does each one's ticket do what the paper says of it, at this size?

  python -m experiments.papers --methods=one_ticket,pretraining,lifelong,prac,dlth
  python -m experiments.papers --methods=e_lth --network=resnet_32 --source_network=resnet_20 --width=0.25

For each method a ticket is found with each seed, trained on the test's own task, and compared with what the paper
says it beats (a random ticket: as many weights in each layer, new positions and new values) or equals (LTH).
"""

from experiments import quiet  # noqa: F401, isort: skip

import dataclasses
from collections.abc import Callable
from typing import Any, ClassVar

import keras
import numpy as np
import tensorflow as tf

import tf_pai
from experiments.config import launch, setting
from experiments.lottery import Shown
from experiments.settings import Settings, dataset_names, network_names
from experiments.table import mean_and_deviation, show
from tf_pai import datasets, networks
from tf_pai.sanity.statistics import paired
from tf_pai.tickets import Bench, Routine, Ticket, reinitialized, shuffled
from tf_pai.training import build_optimizer

Pair = tuple[np.ndarray, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Papers(Settings):
    """What is compared, and how."""

    unread: ClassVar[tuple[str, ...]] = (
        *("method", "distribution", "structure", "pruning_schedule", "min_keep", "compute", "options"),
        *("score_per_class", "train_dense", "augment", "jit_compile", "steps_per_execution"),
    )

    methods: tuple[str, ...] = setting(("one_ticket", "dlth"), "Methods to look at.", lambda: list(PAPERS))
    sparsity: float = setting(0.95, "Fraction of the weights to remove, in [0, 1).")
    dataset: str = setting("fashion_mnist", "The task that tickets are trained on.", dataset_names)
    source: str = setting("mnist", "The task that moved tickets are found on.", dataset_names)
    source_network: str = setting("resnet_20", "What E-LTH finds its ticket in.", network_names)
    epochs: int = setting(3, "Number of passes over the training data.")
    rounds: int = setting(3, "Number of prunings of a search.")
    examples: int = setting(6_000, "Training examples of each task, the first ones.")
    seeds: int = setting(3, "Number of seeds, from --seed on.")


def main(config: Papers) -> None:
    """Finds and trains the tickets, and prints the table."""
    if config.deterministic:
        keras.utils.set_random_seed(config.seed)
        tf.config.experimental.enable_op_determinism()
    rows = []
    for method in config.methods:
        found = [PAPERS[method](Task(config, method, seed)) for seed in range(config.seed, config.seed + config.seeds)]
        for name in [name for name in found[0] if name not in ("ticket", "data")]:
            pairs = [run["ticket"] for run in found], [run[name] for run in found]
            gap = paired(*pairs)
            interval = f"{100 * gap.mean:+.1f} [{100 * gap.low:+.1f}, {100 * gap.high:+.1f}]"
            rows.append([method, mean_and_deviation(pairs[0]), name, mean_and_deviation(pairs[1]), interval])
        if "data" in found[0]:
            print(
                f"{method}: levels after the first saw {mean_and_deviation([r['data'] for r in found])} % of the data"
            )
    show(f"{config.seeds} seeds, test accuracy in %", ["method", "ticket", "beside", "", "difference"], rows)


class Task:
    """One seed of one method: its data, networks and trainings."""

    def __init__(self, config: Papers, method: str, seed: int):
        keras.utils.clear_session()
        self.config, self.method, self.seed = config, method, seed
        self.data, self.test = self.load(config.dataset)
        self.shown = Shown(f"{method}, seed {seed}")

    def load(self, name: str) -> tuple[Pair, Pair]:
        """Returns (the first training examples, all test examples) of a data set."""
        loaded = datasets.load(name, data_dir=self.config.data_dir or None, batch_size=self.config.batch_size)
        x, y = loaded.arrays("train")
        return (x[: self.config.examples], y[: self.config.examples]), loaded.arrays("test")

    def network(self, name: str | None = None) -> keras.Model:
        """Returns a new network, compiled."""
        config = dataclasses.replace(self.config, network=name or self.config.network, seed=self.seed)
        model = networks.build(
            config.network,
            input_shape=self.data[0].shape[1:],
            classes=10,
            width=config.width,
            weight_decay=config.weight_decay,
            seed=self.seed,
        )
        steps = len(self.data[0]) // config.batch_size * config.epochs
        optimizer = build_optimizer(config.optimizer, config.lr, config.schedule, steps, config.momentum)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(optimizer, loss, metrics=["accuracy"])
        return model

    def find(self, method: str, data: Any = None, distribution: str | None = None, **options: Any) -> Ticket:
        """Finds a ticket."""
        config = self.config
        return tf_pai.find_ticket(
            self.network(),
            method,
            config.sparsity,
            data=self.data if data is None else data,
            validation_data=self.test,
            epochs=config.epochs,
            rounds=config.rounds,
            distribution=distribution,
            run_dir=config.folder / f"{self.method}-{method}-{self.seed}",
            seed=self.seed,
            batch_size=config.batch_size,
            callbacks=self.shown,
            options=options,
            verbose=0,
        )

    def accuracies(self, ticket: Ticket) -> dict[str, float]:
        """Trains a ticket and a random ticket on the task; returns their accuracies."""
        masks = ticket.masks
        routine = Routine(self.data, self.config.epochs, self.test, self.config.batch_size, self.seed, self.shown)
        bench = Bench(ticket.model, routine, list(masks), self.config.folder / f"{self.method}-{self.seed}")
        start = ticket.initial_weights
        runs = {
            "ticket": (start, masks),
            "random": (reinitialized(bench.model, start, masks, self.seed), shuffled(masks, self.seed)),
        }
        found = {name: bench.train(*run, name, step=ticket.step).metrics["accuracy"] for name, run in runs.items()}
        self.shown.close()
        return found


PAPERS: dict[str, Callable[[Task], dict[str, float]]] = {}


def paper(run: Callable[[Task], dict[str, float]]) -> Callable[[Task], dict[str, float]]:
    """Files a comparison under its name."""
    PAPERS[run.__name__] = run
    return run


@paper
def one_ticket(task: Task) -> dict[str, float]:
    """A ticket of the source task beats a random one on the task."""
    return task.accuracies(task.find("one_ticket", source=task.load(task.config.source)[0]))


@paper
def pretraining(task: Task) -> dict[str, float]:
    """A ticket over weights pre-trained on the source task beats a random one on the task."""
    return task.accuracies(task.find("pretraining", source=task.load(task.config.source)[0]))


@paper
def lifelong(task: Task) -> dict[str, float]:
    """A ticket grown over two halves of the classes beats a random one on all of them."""
    x, y = task.data
    halves = [(x[part], y[part]) for part in (y < 5, y >= 5)]
    return task.accuracies(task.find("lifelong", halves[1], tasks=[halves[0]]))


@paper
def prac(task: Task) -> dict[str, float]:
    """A ticket found on the critical set is as good as one found on all examples."""
    ticket = task.find("prac")
    seen = [level["examples"] for level in ticket.history[1:]]
    lth = task.accuracies(_global(task))["ticket"]
    return {**task.accuracies(ticket), "LTH": lth, "data": float(np.mean(seen)) / len(task.data[1])}


@paper
def dlth(task: Task) -> dict[str, float]:
    """A transformed random network beats LTH's ticket, and the random one it came from."""
    return {**task.accuracies(task.find("dlth")), "LTH": task.accuracies(_global(task))["ticket"]}


@paper
def e_lth(task: Task) -> dict[str, float]:
    """A stretched ticket beats a random one in the deeper network."""
    return task.accuracies(task.find("e_lth", source_model=task.network(task.config.source_network)))


def _global(task: Task) -> Ticket:
    return task.find("lth", distribution="global")


if __name__ == "__main__":
    launch(Papers, main)
