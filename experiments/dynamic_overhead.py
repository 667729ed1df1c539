"""What moving masks cost: the average step beside static masks, and one update of a large layer.

  python -m experiments.dynamic_overhead

A round is the steps from one update to the next. Static and moving masks take turns every few steps of it in one
process, so that both see the same machine; printed is the median of the rounds' ratios with a 95 % interval. The second
table is of single steps, with and without an update, that take turns in one run. Tracing is left out.
"""

from experiments import quiet  # noqa: F401, isort: skip

import dataclasses
import itertools
import json
import math
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

import tf_pai
from experiments.config import launch, setting
from experiments.settings import method_names, network_names
from experiments.table import show
from experiments.timing import Times, alternate, batches, median_interval, peak_megabytes
from tf_pai import networks
from tf_pai.callbacks import RigL, callback_of
from tf_pai.compute import COMPUTE
from tf_pai.training.callbacks import OneRun


@dataclasses.dataclass(frozen=True)
class Overhead:
    """What is measured."""

    method: str = setting("rigl", "Which method moves the masks.", method_names)
    networks: tuple[str, ...] = setting(("lenet_300_100", "resnet_20"), "On which networks.", network_names)
    sparsity: float = setting(0.9, "Of the masks.")
    compute: str = setting("masked", "With masked dense weights, or with the kept ones only.", lambda: COMPUTE)
    update_every: int = setting(100, "Steps between two updates.")
    batch_size: int = setting(128, "Examples per step.")
    rounds: int = setting(10, "Rounds of each kind; each has one update.")
    side: int = setting(5000, "Inputs and units of the large layer: 25 million weights.")
    tile_size: int = setting(2**22, "Weights of the large layer, if sparse, that an update may hold densely at once.")
    jit_compile: bool = setting(False, "Compile the training step with XLA.")


def main(config: Overhead) -> None:
    """Measures, and prints the tables."""
    if config.networks:
        _show_steps(config)
    seconds, megabytes = large_update(config)
    weights, gradient = config.side**2, 4 * config.side**2 / 2**20
    head = ["weights", "seconds", "peak memory over a step's", "dense gradient"]
    row = [f"{weights:,}", f"{seconds:.2f}", f"{megabytes:,.0f} MB", f"{gradient:,.0f} MB"]
    show("one update of RigL, its dense gradient included", head, [row])


def _show_steps(config: Overhead) -> None:
    rows = [[name, *step_times(config, name)] for name in config.networks]
    head = ["network", "static", "moving", "ratio, by the clock", "CPU time"]
    show(f"average step, {config.method} every {config.update_every} steps", head, rows)
    rows = [[name, *single_steps(config, name)] for name in config.networks]
    head = ["network", "step", "step with update", f"average of {config.update_every}, ratio"]
    show("median of single steps", head, rows)


def step_times(config: Overhead, network: str) -> list[str]:
    """Returns milliseconds per step with static and with moving masks, and ratios by the clock and in CPU time."""
    turn = math.gcd(config.update_every, 10)  # steps until it is the other's turn
    turns = config.update_every // turn
    epochs = (config.rounds + 1) * turns
    data = batches(image_shape(network), config.batch_size, turn)
    runs = {kind: start(config, network, kind == "moving", epochs, turn) for kind in ("static", "moving")}
    actions = {kind: one_more_turn(run, data) for kind, run in runs.items()}
    wall, cpu = (of_rounds(times, turns) for times in alternate(actions, epochs - 1))
    static, moving = (f"{statistics.median(wall[kind]) * 1000 / config.update_every:.2f} ms" for kind in runs)
    clock, low, high = median_interval(ratios(wall))
    return [static, moving, f"{clock:.3f} [{low:.3f}, {high:.3f}]", f"{statistics.median(ratios(cpu)):.3f}"]


def ratios(times: Times) -> list[float]:
    """Returns moving over static in each round."""
    return [moving / static for moving, static in zip(times["moving"], times["static"], strict=True)]


def of_rounds(times: Times, turns: int) -> Times:
    """Returns the time of each round but the first, in which the first update traces and whose first turn is not there.

    >>> of_rounds({"static": [9, 1, 2, 3, 4]}, turns=2)
    {'static': [3, 7]}
    """
    return {kind: np.reshape(t[turns - 1 :], (-1, turns)).sum(1).tolist() for kind, t in times.items()}


class StepTimes(keras.callbacks.Callback):
    """Takes the time of each batch."""

    def on_train_begin(self, logs: Any = None) -> None:
        """Begins anew."""
        self.seconds: list[float] = []

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Looks at the clock."""
        self.began = time.perf_counter()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Looks again."""
        self.seconds.append(time.perf_counter() - self.began)


def single_steps(config: Overhead, network: str, every: int = 4, updates: int = 10) -> list[str]:
    """Returns milliseconds of a step without and with an update, and what the latter makes of the average step."""
    times, steps = StepTimes(), every * updates
    run = start(dataclasses.replace(config, update_every=every), network, True, 1, steps, times)
    data = batches(image_shape(network), config.batch_size, steps)
    run.model.fit(data, callbacks=run, shuffle=False, verbose=0)
    measured = times.seconds[2 * every :]  # the first updates trace
    due = statistics.median(measured[every - 1 :: every])
    plain = statistics.median(t for i, t in enumerate(measured) if (i + 1) % every)
    ratio = 1 + (due / plain - 1) / config.update_every
    return [f"{plain * 1000:.2f} ms", f"{due * 1000:.2f} ms", f"{ratio:.3f}"]


def image_shape(network: str) -> tuple[int, ...]:
    """Returns the shape of the images that a network is timed on."""
    return (28, 28, 1) if network.startswith("lenet") else (32, 32, 3)


def start(
    config: Overhead, network: str, moves: bool, epochs: int, steps: int, *others: keras.callbacks.Callback
) -> OneRun:
    """Returns the callbacks of a run that has begun, of so many epochs of so many steps."""
    model = networks.build(network, input_shape=image_shape(network), classes=10, seed=0)
    masks: Any = {"distribution": "erk", "compute": config.compute, "seed": 0, "verbose": 0}
    model = tf_pai.prune_at_init(model, "random", config.sparsity, **masks)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.01, momentum=0.9), loss, jit_compile=config.jit_compile)
    options = {"update_every": config.update_every, "end_step": config.update_every * 10**6}
    callbacks = [callback_of(config.method, config.sparsity, 0, options)] if moves else []
    run = OneRun([*callbacks, *others], model=model, add_history=True, epochs=epochs, steps=steps)
    run.on_train_begin()
    return run


def one_more_turn(run: OneRun, data: tf.data.Dataset) -> Callable[[], object]:
    """Returns what trains one epoch more of a run."""
    numbers = itertools.count()

    def fit() -> object:
        number = next(numbers)
        epochs = {"initial_epoch": number, "epochs": number + 1}
        return run.model.fit(data, callbacks=run, shuffle=False, verbose=0, **epochs)

    return fit


def large_update(config: Overhead) -> tuple[float, float]:
    """Returns the seconds and megabytes of one update of a large layer, measured in a process of its own."""
    code = "import sys; from experiments import dynamic_overhead; dynamic_overhead.print_update(sys.argv[1])"
    command = [sys.executable, "-c", code, json.dumps(dataclasses.asdict(config))]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    seconds, megabytes = json.loads(done.stdout.splitlines()[-1])
    return seconds, megabytes


def print_update(settings: str) -> None:
    """Prints the median seconds of three updates, and by how many megabytes they raise the peak of two plain steps.

    The tracing of the update is part of the memory, and not of the time.

    Args:
        settings: of an `Overhead`, as JSON.
    """
    config = Overhead(**json.loads(settings))
    model = large_model(config)
    model.compile(keras.optimizers.SGD(0.01, momentum=0.9), "mse")
    x = np.random.default_rng(0).standard_normal((config.batch_size, config.side)).astype("float32")
    for _ in range(2):
        model.train_on_batch(x, x)
    before = peak_megabytes()
    callback = RigL(update_every=1, end_step=100, decay="constant", tile_size=config.tile_size, seed=0)
    callback.begin(model)
    update: dict[str, Callable[[], object]] = {"update": lambda: callback.step(x, x)}
    times = alternate(update, 3)[0]["update"]
    print(json.dumps([statistics.median(times), peak_megabytes() - before]))


def large_model(config: Overhead) -> keras.Model:
    """Returns one layer of side * side weights; a sparse one never exists densely, which would be the peak."""
    inputs = keras.Input((config.side,))
    options: dict[str, Any] = {"use_bias": False, "name": "large"}
    if config.compute == "sparse":
        density = 1 - config.sparsity
        return keras.Sequential([inputs, tf_pai.layers.SparseDense(config.side, density=density, seed=0, **options)])
    model = keras.Sequential([inputs, keras.layers.Dense(config.side, **options)])
    return tf_pai.prune_at_init(model, "random", config.sparsity, compute=config.compute, seed=0, verbose=0)


if __name__ == "__main__":
    launch(Overhead, main)
