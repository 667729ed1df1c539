"""What masks and scores cost, as ratios measured in one run: run it on a machine that does nothing else.

  python -m experiments.overhead

Training steps: CPU time of a model with static masks beside that of the dense one, rounds in turn; the median of the
rounds' ratios, and the smallest and largest of all repeats. Scores: CPU time of one batch more, in training steps of
the same batch; of 100 rounds of SynFlow more, in its forward and backward passes. Large masks: a process
of its own, which tells its peak memory.
"""

from experiments import quiet  # noqa: F401, isort: skip

import dataclasses
import functools
import json
import statistics
import subprocess
import sys
from collections.abc import Callable

import keras
import tensorflow as tf

import tf_pai
from experiments.config import launch, setting
from experiments.table import show
from experiments.timing import alternate, batches, median_ratio, spread
from tf_pai import kernels, networks

LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
OPTIMIZERS: dict[str, Callable[[], keras.optimizers.Optimizer]] = {
    "adam": lambda: keras.optimizers.Adam(1e-3),
    "sgd": lambda: keras.optimizers.SGD(0.01, momentum=0.9),
}
IMPORT = "import time, keras; began = time.perf_counter(); import tf_pai; print(time.perf_counter() - began)"
LARGE = """
import json, sys, time
import numpy as np
from experiments.timing import peak_megabytes
from tf_pai.topk import keep_highest
side, sparsity = int(sys.argv[1]), float(sys.argv[2])
scores = [np.random.default_rng(i).random((side, side // 4), np.float32) for i in range(4)]
total = sum(score.size for score in scores)
before, began = peak_megabytes(), time.perf_counter()
masks = keep_highest(scores, round((1 - sparsity) * total))
seconds = time.perf_counter() - began
memory = (peak_megabytes() - before) * 2**20 / sum(score.nbytes for score in scores)
print(json.dumps({"weights": total, "seconds": seconds, "memory": memory, "kept": sum(int(m.sum()) for m in masks)}))
"""


@dataclasses.dataclass(frozen=True)
class Overhead:
    """What is measured."""

    networks: tuple[str, ...] = setting(
        ("resnet_20", "mlp"), "Whose steps: registered networks, or mlp, 784-1024-1024-10.", lambda: known_networks()
    )
    parts: tuple[str, ...] = setting(
        ("steps", "scores", "large", "import"), "What is measured, in this order.", lambda: list(PARTS)
    )
    sparsity: float = setting(0.9, "Of the masks.")
    batch_size: int = setting(128, "Examples per step.")
    steps: int = setting(10, "Steps per round; a network whose step is short takes ten times as many.")
    rounds: int = setting(8, "Rounds of each kind in a repeat.")
    repeats: int = setting(5, "Repeats, whose spread is shown.")
    threads: int = setting(1, "Threads of TensorFlow: with more, CPU time holds what they wait for each other.")
    side: int = setting(10_000, "The large masks are of side * side weights.")


def known_networks() -> list[str]:
    """Returns the names of the networks that can be measured."""
    return ["mlp", *networks.NETWORKS]


def main(config: Overhead) -> None:
    """Measures, and prints the tables."""
    tf.config.threading.set_intra_op_parallelism_threads(config.threads)
    tf.config.threading.set_inter_op_parallelism_threads(config.threads)
    for part in config.parts:
        PARTS[part](config)


def show_steps(config: Overhead) -> None:
    """Prints what masks add to a training step."""
    rows = [
        [name, optimizer, *step_ratios(config, name, optimizer)] for name in config.networks for optimizer in OPTIMIZERS
    ]
    how = "in place" if kernels.built() else "by a product: the native kernels are not built"
    title = f"CPU time of a masked training step / dense; pruned weights set to zero {how}"
    show(title, ["network", "optimizer", "dense ms", "ratio"], rows)


def show_scores(config: Overhead) -> None:
    """Prints what scores cost."""
    rows = [[name, *scoring_costs(config, name)] for name in config.networks]
    show("CPU time of a score", ["network", "SNIP / step", "GraSP / step", "SynFlow-100 / passes"], rows)


def show_large(config: Overhead) -> None:
    """Prints time and memory of masks for many weights."""
    large = json.loads(_in_own_process(LARGE, str(config.side), str(config.sparsity)))
    row = [f"{large['weights']:,}", f"{large['seconds']:.1f}", f"{large['memory']:.2f} x the scores"]
    show("masks from scores", ["weights", "seconds", "peak extra memory"], [row])


def show_import(config: Overhead) -> None:
    """Prints the seconds that importing tf_pai takes."""
    seconds = [float(_in_own_process(IMPORT)) for _ in range(config.repeats)]
    print(f"import tf_pai after keras: {spread(seconds)} s")


PARTS: dict[str, Callable[[Overhead], None]] = {
    "steps": show_steps,
    "scores": show_scores,
    "large": show_large,
    "import": show_import,
}


def step_ratios(config: Overhead, network: str, optimizer: str) -> tuple[str, str]:
    """Returns milliseconds of a dense step, and masked / dense with its spread over the repeats."""
    steps = config.steps * 10 if network in ("mlp", "lenet_300_100") else config.steps
    dense = build(network)
    masked = tf_pai.prune_at_init(dense, "random", config.sparsity, distribution="uniform", seed=0, verbose=0)
    data = batches(dense.input_shape[1:], config.batch_size, steps)
    for model in (dense, masked):
        model.compile(OPTIMIZERS[optimizer](), LOSS)
    actions = {
        "dense": lambda: dense.fit(data, verbose=0, shuffle=False),
        "masked": lambda: masked.fit(data, verbose=0, shuffle=False),
    }
    repeats = [alternate(actions, config.rounds)[1] for _ in range(config.repeats)]
    step = statistics.median(value for times in repeats for value in times["dense"]) / steps
    return f"{1000 * step:.2f}", spread([median_ratio(times, "masked", "dense") for times in repeats])


def scoring_costs(config: Overhead, network: str) -> tuple[str, str, str]:
    """Returns the costs of SNIP and GraSP per batch in training steps, and of SynFlow in passes of a batch."""
    model = build(network)
    shape, more = model.input_shape[1:], 5
    model.compile(OPTIMIZERS["sgd"](), LOSS)
    few = 2  # of a single batch, GraSP makes one pass in place of two: that is not the cost of one more
    data = {count: batches(shape, config.batch_size, count) for count in (few, more, few + more)}
    actions: dict[str, Callable[[], object]] = {"step": lambda: model.fit(data[more], verbose=0, shuffle=False)}
    for name in ("snip", "grasp"):
        actions[f"{name} few"] = functools.partial(score, model, name, data[few], few)
        actions[f"{name} many"] = functools.partial(score, model, name, data[few + more], few + more)
    for rounds in ("1", "101"):
        actions[rounds] = functools.partial(synflow, model, config.sparsity, f"iterative:{rounds}")
    actions["passes"] = passes(model, data[more])
    _, times = alternate(actions, config.rounds)
    step = [seconds / more for seconds in times["step"]]
    costs = [
        [(b - a) / more / c for a, b, c in zip(times[f"{name} few"], times[f"{name} many"], step, strict=True)]
        for name in ("snip", "grasp")
    ]
    costs.append([(b - a) * more / c for a, b, c in zip(times["1"], times["101"], times["passes"], strict=True)])
    one, two, three = (spread(values, 2) for values in costs)
    return one, two, three


def score(model: keras.Model, name: str, data: tf.data.Dataset, count: int) -> object:
    """Scores a model on `count` batches."""
    return tf_pai.score(model, name, data=data, loss=LOSS, batches=count, seed=0)


def synflow(model: keras.Model, sparsity: float, schedule: str) -> object:
    """Prunes a model by SynFlow."""
    return tf_pai.prune_at_init(model, "synflow", sparsity, schedule=schedule, verbose=0)


def passes(model: keras.Model, data: tf.data.Dataset) -> Callable[[], object]:
    """Returns what runs a forward and a backward pass of each batch, without an optimizer."""

    @tf.function
    def gradients(x: tf.Tensor, y: tf.Tensor) -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            loss = LOSS(y, model(x, training=False))
        return tape.gradient(loss, [weight.value for weight in model.trainable_variables])

    return lambda: [gradients(x, y) for x, y in data]


def build(network: str) -> keras.Model:
    """Returns a network with ten classes."""
    if network == "mlp":
        layers = keras.layers
        units = [layers.Dense(1024, "relu"), layers.Dense(1024, "relu"), layers.Dense(10)]
        return keras.Sequential([keras.Input((784,)), *units])
    shape = (28, 28, 1) if network.startswith("lenet") else (32, 32, 3)
    return networks.build(network, input_shape=shape, classes=10, seed=0)


def _in_own_process(code: str, *arguments: str) -> str:
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()[-1]


if __name__ == "__main__":
    launch(Overhead, main)
