"""What training a supermask costs: CPU time of a step beside that of a step which trains the weights.

  python -m experiments.select_overhead

Rounds of both alternate in one process; the median of the rounds' ratios, and the smallest and largest of all repeats.
"""

from experiments import quiet  # noqa: F401, isort: skip

import dataclasses
import functools
import statistics
from collections.abc import Callable

import keras
import tensorflow as tf

import tf_pai
from experiments.config import launch, setting
from experiments.overhead import LOSS, OPTIMIZERS, build, known_networks
from experiments.table import show
from experiments.timing import alternate, batches, median_ratio, spread


@dataclasses.dataclass(frozen=True)
class Overhead:
    """What is measured."""

    networks: tuple[str, ...] = setting(("lenet_300_100", "conv_4"), "On which networks.", known_networks)
    method: str = setting("hidden", "How the subnet is selected.")
    k: float = setting(0.5, "Fraction of the weights to keep.")
    batch_size: int = setting(128, "Examples per step.")
    steps: int = setting(3, "Steps per round; a network whose step is short takes twenty times as many.")
    rounds: int = setting(6, "Rounds of each kind in a repeat.")
    repeats: int = setting(3, "Repeats, whose spread is shown.")
    threads: int = setting(1, "Threads of TensorFlow: with more, CPU time holds what they wait for each other.")


def main(config: Overhead) -> None:
    """Measures, and prints the table."""
    tf.config.threading.set_intra_op_parallelism_threads(config.threads)
    tf.config.threading.set_inter_op_parallelism_threads(config.threads)
    rows = [[name, *step_ratios(config, name)] for name in config.networks]
    show(f"CPU time of a step of {config.method} / dense", ["network", "dense ms", "ratio"], rows)


def step_ratios(config: Overhead, network: str) -> tuple[str, str]:
    """Returns milliseconds of a dense step, and supermask / dense with its spread over the repeats."""
    steps = config.steps * 20 if network in ("mlp", "lenet_300_100") else config.steps
    models: dict[str, keras.Model] = {"dense": build(network)}
    models["subnet"] = tf_pai.select_subnet(models["dense"], config.method, 1 - config.k, seed=0)
    data = batches(models["dense"].input_shape[1:], config.batch_size, steps)
    for model in models.values():
        model.compile(OPTIMIZERS["sgd"](), LOSS)
    actions: dict[str, Callable[[], object]] = {
        name: functools.partial(model.fit, data, verbose=0, shuffle=False) for name, model in models.items()
    }
    repeats = [alternate(actions, config.rounds)[1] for _ in range(config.repeats)]
    step = statistics.median(value for times in repeats for value in times["dense"]) / steps
    return f"{1000 * step:.2f}", spread([median_ratio(times, "subnet", "dense") for times in repeats])


if __name__ == "__main__":
    launch(Overhead, main)
