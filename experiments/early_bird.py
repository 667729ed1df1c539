"""Early-bird tickets: how early in training are the channels known, and is it the same in few bits?

  python -m experiments.early_bird --network=resnet_20 --width=0.25 --dataset=cifar10 --epochs=10

A mask is drawn every 24 steps: of 10 epochs of CIFAR-10 that is the part, 1/160, that the paper's epoch is of its
training. The search stops where the ticket emerges; the step is given as a part of the whole training. Then the dead
channels are cut out (tf_pai.shrink), and a training step of the smaller network is timed beside one of the dense one.
"""

from experiments import quiet  # noqa: F401, isort: skip

import dataclasses
from typing import ClassVar

import keras
import numpy as np
import tensorflow as tf

import tf_pai
from experiments.config import launch, setting
from experiments.lottery import Shown
from experiments.settings import Settings
from experiments.table import show
from experiments.timing import alternate, batches, median_ratio, spread
from tf_pai.tickets import Ticket
from tf_pai.tickets.early_bird import distance


@dataclasses.dataclass(frozen=True)
class EarlyBird(Settings):
    """Searches that differ in the bits of their weights."""

    unread: ClassVar[tuple[str, ...]] = (
        *("score_per_class", "train_dense"),
        *("distribution", "structure", "pruning_schedule", "min_keep", "compute"),  # the method has its own
    )

    method: str = setting("early_bird", "How the ticket is found.", lambda: ["early_bird"])
    sparsity: float = setting(0.3, "Fraction of the channels to remove.")
    every: str = setting("24it", "Steps or epochs between two drawings.")
    bits: tuple[float, ...] = setting((0.0, 8.0), "Bits of the weights while searching; 0: all of float32.")
    timed_steps: int = setting(10, "Training steps per round of the timing.", names_run=False)
    repeats: int = setting(5, "Repeats of the timing, of four rounds each, whose spread is shown.", names_run=False)


def main(config: EarlyBird) -> None:
    """Searches, and prints the table."""
    if config.deterministic:
        keras.utils.set_random_seed(config.seed)
        tf.config.experimental.enable_op_determinism()
    tickets = {bits: search(config, int(bits)) for bits in config.bits}
    first = _kept(next(iter(tickets.values())))
    rows = []
    for bits, (ticket, steps) in tickets.items():
        last = ticket.history[-1]
        share = f"{100 * last['step'] / steps:.1f} %" if last["found"] else "not found"
        other = f"{100 * distance(first, _kept((ticket, steps))):.1f} %"
        rows.append([f"{bits:g}" if bits else "float32", str(last["step"]), share, f"{ticket.density:.3f}", other])
    head = ["bits", "steps", "of training", "weights kept", "channels that differ"]
    show(f"{config.network}, {100 * config.sparsity:g} % of the channels removed, seed {config.seed}", head, rows)
    ticket, _ = next(iter(tickets.values()))
    ratio, left = step_ratio(config, ticket)
    print(f"Training step of the shrunk network / dense, by the clock: {ratio}; it has {left:.3f} of the weights.")


def step_ratio(config: EarlyBird, ticket: Ticket) -> tuple[str, float]:
    """Returns shrunk / dense step with its spread over the repeats, and the fraction of the weights that is left."""
    data = config.load_data()
    dense, small = config.model_maker(data)(), tf_pai.shrink(ticket.model)
    steps = batches(data.input_shape, config.batch_size, config.timed_steps)
    actions = {
        "dense": lambda: dense.fit(steps, verbose=0, shuffle=False),
        "small": lambda: small.fit(steps, verbose=0, shuffle=False),
    }
    repeats = [median_ratio(alternate(actions, 4)[0], "small", "dense") for _ in range(config.repeats)]
    return spread(repeats), small.count_params() / dense.count_params()


def search(config: EarlyBird, bits: int) -> tuple[Ticket, int]:
    """Returns the ticket, and the steps of a whole training."""
    data, shown = config.load_data(), Shown(f"{bits or 32} bits")
    ticket = tf_pai.find_ticket(
        config.model_maker(data)(),
        config.method,
        config.sparsity,
        data=data.train,
        epochs=config.epochs,
        run_dir=config.folder / f"bits-{bits}",
        seed=config.seed,
        callbacks=shown,
        options={"every": config.every, "bits": bits or None, **config.method_options()},
        verbose=0,
    )
    shown.close()
    return ticket, data.steps_per_epoch * config.epochs


def _kept(found: tuple[Ticket, int]) -> list[np.ndarray]:
    """The channels kept, layer by layer."""
    return [mask for path, mask in found[0].masks.items() if path.endswith("gamma")]


if __name__ == "__main__":
    launch(EarlyBird, main)
