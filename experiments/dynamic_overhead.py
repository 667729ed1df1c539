"""What moving masks cost: the average step beside static masks, and one update of a large layer.

  python -m experiments.dynamic_overhead

A round is the steps from one update to the next. Static and moving masks take turns at every step in one process, so
that both see the same machine, and several pairs of models follow each other, since where a model's memory lies makes
as much difference; printed is the median of all rounds' ratios with a 95 % interval. The second table is of single
steps, with and without an update, that take turns in one run. Tracing is left out. The last one has the memory of an
update beyond a plain step's: of the tensors that are alive, by TensorFlow's log, and of the process.
"""

from experiments import quiet  # noqa: F401, isort: skip

import collections
import concurrent.futures
import dataclasses
import json
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

import tf_pai
from experiments.alive import peaks_of, phase
from experiments.config import launch, setting
from experiments.settings import method_names, network_names
from experiments.table import show
from experiments.timing import Times, alternate, batches, median_interval, peak_megabytes
from tf_pai import networks
from tf_pai.callbacks import RigL, callback_of
from tf_pai.compute import COMPUTE


@dataclasses.dataclass(frozen=True)
class Overhead:
    """What is measured."""

    method: str = setting("rigl", "Which method moves the masks.", method_names)
    networks: tuple[str, ...] = setting(("lenet_300_100", "resnet_20"), "On which networks.", network_names)
    sparsity: float = setting(0.9, "Of the masks.")
    compute: str = setting("masked", "With masked dense weights, or with the kept ones only.", lambda: COMPUTE)
    update_every: int = setting(100, "Steps between two updates.")
    batch_size: int = setting(128, "Examples per step.")
    pairs: int = setting(4, "Pairs of models, one after the other: one may be some percent faster than its twin.")
    rounds: int = setting(5, "Rounds of each pair; each has one update.")
    side: int = setting(5000, "Inputs and units of the large layer: 25 million weights.")
    tile_size: int = setting(2**20, "Weights of the large layer, if sparse, that an update may hold densely at once.")
    jit_compile: bool = setting(False, "Compile the training step with XLA.")


def main(config: Overhead) -> None:
    """Measures, and prints the tables."""
    if config.networks:
        _show_steps(config)
    seconds, megabytes = large_update(config)
    tensors, gradient = tensors_of_update(config), 4 * config.side**2 / 2**20
    head = ["weights", "seconds", "tensors", "process", "dense gradient"]
    memory = [f"{value:,.0f} MB" for value in (tensors, megabytes, gradient)]
    show(
        "one update of RigL: time, memory over a plain step's, and the dense gradient's",
        head,
        [[f"{config.side**2:,}", f"{seconds:.2f}", *memory]],
    )


def _show_steps(config: Overhead) -> None:
    rows = [[name, *step_times(config, name)] for name in config.networks]
    head = ["network", "static", "moving", "ratio, by the clock", "CPU time"]
    show(f"average step, {config.method} every {config.update_every} steps", head, rows)
    rows = [[name, *single_steps(config, name)] for name in config.networks]
    head = ["network", "step", "step with update", f"average of {config.update_every}, ratio"]
    show("median of single steps", head, rows)


def step_times(config: Overhead, network: str) -> list[str]:
    """Returns milliseconds per step with static and with moving masks, and ratios by the clock and in CPU time."""
    every, wall, cpu = config.update_every, Times(), Times()
    for _ in range(config.pairs):
        for kind, times in pair_times(config, network).items():
            wall.setdefault(kind, []).extend(of_rounds(times.seconds, every))
            cpu.setdefault(kind, []).extend(of_rounds(times.cpu_seconds, every))
    static, moving = (f"{statistics.median(values) * 1000 / every:.2f} ms" for values in wall.values())
    clock, low, high = median_interval(ratios(wall))
    return [static, moving, f"{clock:.3f} [{low:.3f}, {high:.3f}]", f"{statistics.median(ratios(cpu)):.3f}"]


def pair_times(config: Overhead, network: str) -> dict[str, "StepTimes"]:
    """Trains a new model with static masks and one with moving masks in turns; returns {kind: times}."""
    turns = Turns(("static", "moving"))
    times = {kind: TakesTurns(turns, kind) for kind in ("static", "moving")}
    made = {kind: start(config, network, kind == "moving") for kind in times}
    with concurrent.futures.ThreadPoolExecutor(len(times)) as threads:
        fits = [threads.submit(t.fit, *made[kind], config) for kind, t in times.items()]
    for fit in fits:
        fit.result()
    return dict(times)


def ratios(times: Times) -> list[float]:
    """Returns moving over static in each round."""
    return [moving / static for moving, static in zip(times["moving"], times["static"], strict=True)]


def of_rounds(steps: list[float], every: int) -> list[float]:
    """Returns the time of each round but the first, in which the first update traces.

    >>> of_rounds([9, 9, 1, 2, 3, 4], every=2)
    [3, 7]
    """
    return np.reshape(steps, (-1, every)).sum(1)[1:].tolist()


class StepTimes(keras.callbacks.Callback):
    """Takes the time of each batch, by the clock and of the processors."""

    def on_train_begin(self, logs: Any = None) -> None:
        """Begins anew."""
        self.seconds: list[float] = []
        self.cpu_seconds: list[float] = []

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Looks at the clocks."""
        self.began = time.perf_counter(), time.process_time()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Looks again."""
        self.seconds.append(time.perf_counter() - self.began[0])
        self.cpu_seconds.append(time.process_time() - self.began[1])


class Turns:
    """Lets threads go on one after the other.

    Args:
        names: theirs, in the order of their turns.
    """

    def __init__(self, names: tuple[str, ...]):
        self._order, self._changed = collections.deque(names), threading.Condition()

    def take(self, name: str) -> None:
        """Waits until it is the turn of a thread."""
        with self._changed:
            self._changed.wait_for(lambda: self._order[0] == name)

    def pass_on(self) -> None:
        """Lets the next one go on."""
        with self._changed:
            self._order.rotate(-1)
            self._changed.notify_all()

    def leave(self, name: str) -> None:
        """Leaves the turns to the others."""
        with self._changed:
            self._order.remove(name)
            self._changed.notify_all()


class TakesTurns(StepTimes):
    """Takes turns with another training, batch by batch."""

    def __init__(self, turns: Turns, name: str):
        super().__init__()
        self.turns, self.name = turns, name

    def fit(self, model: keras.Model, callbacks: list[keras.callbacks.Callback], config: Overhead) -> None:
        """Trains for the rounds of a measurement, and one before them."""
        try:
            data = batches(model.input_shape[1:], config.batch_size, config.update_every)
            model.fit(data, epochs=config.rounds + 1, callbacks=[*callbacks, self], shuffle=False, verbose=0)
        finally:
            self.turns.leave(self.name)

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Waits for its turn."""
        self.turns.take(self.name)
        super().on_train_batch_begin(batch)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Lets the other one train."""
        super().on_train_batch_end(batch)
        self.turns.pass_on()


def single_steps(config: Overhead, network: str, every: int = 4, updates: int = 10) -> list[str]:
    """Returns milliseconds of a step without and with an update, and what the latter makes of the average step."""
    times = StepTimes()
    model, callbacks = start(dataclasses.replace(config, update_every=every), network, True)
    data = batches(image_shape(network), config.batch_size, every * updates)
    model.fit(data, callbacks=[*callbacks, times], shuffle=False, verbose=0)
    measured = times.seconds[2 * every :]  # the first updates trace
    due = statistics.median(measured[every - 1 :: every])
    plain = statistics.median(t for i, t in enumerate(measured) if (i + 1) % every)
    ratio = 1 + (due / plain - 1) / config.update_every
    return [f"{plain * 1000:.2f} ms", f"{due * 1000:.2f} ms", f"{ratio:.3f}"]


def image_shape(network: str) -> tuple[int, ...]:
    """Returns the shape of the images that a network is timed on."""
    return (28, 28, 1) if network.startswith("lenet") else (32, 32, 3)


def start(config: Overhead, network: str, moves: bool) -> tuple[keras.Model, list[keras.callbacks.Callback]]:
    """Returns a pruned and compiled model, and what moves its masks."""
    model = networks.build(network, input_shape=image_shape(network), classes=10, seed=0)
    masks: Any = {"distribution": "erk", "compute": config.compute, "seed": 0, "verbose": 0}
    model = tf_pai.prune_at_init(model, "random", config.sparsity, **masks)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.01, momentum=0.9), loss, jit_compile=config.jit_compile)
    options = {"update_every": config.update_every, "end_step": config.update_every * 10**6}
    return model, [callback_of(config.method, config.sparsity, 0, options)] if moves else []


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
    step, begin, update = _large(Overhead(**json.loads(settings)))
    for _ in range(2):
        step()
    before = peak_megabytes()
    begin()
    times = alternate({"update": update}, 3)[0]["update"]
    print(json.dumps([statistics.median(times), peak_megabytes() - before]))


def tensors_of_update(config: Overhead) -> float:
    """Returns by how many megabytes an update's tensors exceed a plain step's, at the peak of each."""
    code = "import sys; from experiments import dynamic_overhead; dynamic_overhead.log_update(sys.argv[1])"
    peaks = peaks_of(code, json.dumps(dataclasses.asdict(config)))
    return peaks["update"] - peaks["step"]


def log_update(settings: str) -> None:
    """Takes steps and updates for a log of their tensors; each once before, so that all that stays has been seen.

    Args:
        settings: of an `Overhead`, as JSON.
    """
    step, begin, update = _large(Overhead(**json.loads(settings)))
    step()
    begin()
    update()
    for name, action in (("step", step), ("update", update)):
        phase(name)
        action()
        action()
    phase("end")


def _large(config: Overhead) -> tuple[Callable[[], object], ...]:
    """A plain step of a large layer, what begins its updates, and an update."""
    model = large_model(config)
    model.compile(keras.optimizers.SGD(0.01, momentum=0.9), "mse")
    x = np.random.default_rng(0).standard_normal((config.batch_size, config.side)).astype("float32")
    callback = RigL(update_every=1, end_step=100, decay="constant", tile_size=config.tile_size, seed=0)
    return lambda: model.train_on_batch(x, x), lambda: callback.begin(model), lambda: callback.step(x, x)


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
