"""Sanity checks of sparse networks over seeds: is what pruning chose needed at all?

  python -m experiments.sanity --method=snip --sparsity=0.95 --dataset=mnist --epochs=5 --seeds=5
  python -m experiments.sanity --method=lth --sparsity=0.9 --dataset=mnist --epochs=5 --checks=reinit,shuffle,winning

Of a ticket method, one ticket is found and `tf_pai.check_ticket` trains it and its controls with each seed. Of a
method that prunes at initialization, each seed is a network of its own, and so are its controls.
"""

from experiments import quiet  # noqa: F401, isort: skip

import dataclasses
from typing import Any, ClassVar

import keras
import tensorflow as tf

import tf_pai
from experiments.config import launch, setting
from experiments.lottery import Shown, search_options
from experiments.settings import Settings
from tf_pai import list_methods
from tf_pai.datasets import Dataset
from tf_pai.files import write_whole
from tf_pai.sanity import CHECKS, Verdict
from tf_pai.sanity.verdict import compared
from tf_pai.tickets import Bench, Routine, Ticket, reinitialized, shuffled, ticket_of

CONTROLS = {"reinit": "re-initialized", "shuffle": "shuffled masks", "random_ticket": "random tickets"}


def names() -> list[str]:
    """Returns the methods whose networks can be checked."""
    return [info.name for track in ("static", "tickets") for info in list_methods(track)]


@dataclasses.dataclass(frozen=True)
class Sanity(Settings):
    """What is checked, and how."""

    unread: ClassVar[tuple[str, ...]] = ("train_dense",)

    method: str = setting("snip", "How the network is pruned.", names)
    sparsity: float = setting(0.95, "Fraction of the weights to remove, in [0, 1).")
    epochs: int = setting(5, "Number of passes over the training data.")
    checks: tuple[str, ...] = setting(("reinit", "shuffle"), "Checks to make.", CHECKS.names)
    learning_rates: tuple[float, ...] = setting((), "Rates of the checks correlation and winning; default: --lr.")
    margin: float = setting(0.003, "Loss below which a control is said to be not worse.")
    seeds: int = setting(5, "Number of seeds, from --seed on.")


def main(config: Sanity) -> None:
    """Makes the trainings that are missing, and prints and stores the verdicts."""
    if config.seeds < 2:
        raise ValueError(f"A verdict rests on two seeds or more. Received: --seeds={config.seeds}.")
    if config.deterministic:
        keras.utils.set_random_seed(config.seed)
        tf.config.experimental.enable_op_determinism()
    found = config.method in [info.name for info in list_methods("tickets")]
    verdict = of_ticket(config) if found else of_networks(config)
    print(f"{config.method}, sparsity {config.sparsity:g}, {config.seeds} seeds; test accuracy in %")
    print(verdict)
    with write_whole(config.folder / "verdict.txt", "w") as stream:
        stream.write(f"{verdict}\n")


def of_ticket(config: Sanity) -> Verdict:
    """Finds one ticket, and checks it."""
    data, shown = config.load_data(), Shown(config.method)
    common: dict[str, Any] = {"data": data.train, "validation_data": data.test(), "epochs": config.epochs}
    common |= {"run_dir": config.folder, "seed": config.seed, "callbacks": shown, "verbose": 0}
    options = search_options(config)
    ticket = tf_pai.find_ticket(config.model_maker(data)(), config.method, config.sparsity, **options, **common)
    own = {"learning_rates": config.learning_rates}
    verdict = tf_pai.check_ticket(
        ticket, config.checks, seeds=config.seeds, margin=config.margin, options=own, **common
    )
    shown.close()
    return verdict


def of_networks(config: Sanity) -> Verdict:
    """Prunes one network per seed at its initialization, and compares them with their controls."""
    for check in config.checks:
        if check not in CONTROLS:
            raise ValueError(
                f"Networks pruned at initialization are checked by {', '.join(CONTROLS)}. Received: --checks={check}."
            )
    accuracies: dict[str, list[float]] = {}
    for seed in range(config.seed, config.seed + config.seeds):
        keras.utils.clear_session()
        settings = dataclasses.replace(config, seed=seed)
        for name, accuracy in _of_seed(settings, settings.load_data()).items():
            accuracies.setdefault(name, []).append(accuracy)
    found = accuracies.pop("as found")
    return Verdict({c: compared(c, CONTROLS[c], found, accuracies[c], config.margin) for c in config.checks})


def _of_seed(config: Sanity, data: Dataset) -> dict[str, float]:
    """{network: accuracy} of one network as found, and of its controls."""
    shown = Shown(f"seed {config.seed}")
    dense = config.model_maker(data)()
    options = {"data": data.score_batch(config.score_per_class), "seed": config.seed, "verbose": 0}
    pruned = tf_pai.prune_at_init(dense, config.method, config.sparsity, **{**options, **config.method_options()})
    ticket = ticket_of(pruned, dense)
    routine = Routine(data.train, config.epochs, data.test(), seed=config.seed, callbacks=shown, verbose=0)
    bench = Bench(pruned, routine, list(ticket.masks), config.folder / "trainings")
    accuracies = {}
    for name in ("as found", *config.checks):
        values, masks = _control(ticket, bench.model, name, config.seed)
        accuracies[name] = bench.train(values, masks, name).metrics["accuracy"]
    shown.close()
    return accuracies


def _control(ticket: Ticket, model: keras.Model, name: str, seed: int) -> tuple[dict, dict]:
    """The weights and masks of a network as found, or of one of its controls."""
    values, masks = ticket.initial_weights, ticket.masks
    if name in ("reinit", "random_ticket"):
        values = reinitialized(model, values, masks, seed)
    return values, shuffled(masks, seed) if name in ("shuffle", "random_ticket") else masks


if __name__ == "__main__":
    launch(Sanity, main)
