"""Many tasks on one random network: a supermask for each, and tasks inferred from their inputs (SupSup).

  python -m experiments.supsup --data_dir=DIR

Task t is the data set with its pixels in an order of its own. The network's weights are never trained, and what a task
adds is one bit per weight. A killed run goes on after its last task.
"""

from experiments import quiet  # noqa: F401, isort: skip

import dataclasses
import json
import pathlib
import statistics
import time
from typing import Any

import keras
import numpy as np
import tensorflow as tf

import tf_pai
from experiments.config import digest, launch, setting
from experiments.select import frozen_digest
from experiments.settings import dataset_names, network_names
from experiments.table import mean_and_deviation, show
from tf_pai import datasets, networks
from tf_pai.files import write_whole
from tf_pai.selection import Supermasks
from tf_pai.training import build_optimizer

SEARCHES = ("one_shot", "binary")


@dataclasses.dataclass(frozen=True)
class SupSup:
    """The tasks, and how each is learned."""

    tasks: int = setting(50, "Number of tasks.", names_run=False)
    network: str = setting("lenet_300_100", "The one network.", network_names)
    dataset: str = setting("mnist", "What is permuted.", dataset_names)
    data_dir: str = setting("", "Folder with the data set; default: TFDS' own, with download.", names_run=False)
    k: float = setting(0.5, "Fraction of the weights that a task keeps.")
    outputs: int = setting(100, "Outputs; those beyond the classes are never right, and tell tasks apart.")
    epochs: int = setting(3, "Passes over a task's training data.")
    batch_size: int = setting(128, "Examples per batch, in training and when a task is inferred.")
    lr: float = setting(5e-4, "RMSprop's learning rate at a task's first step; a cosine takes it to 0.")
    images: int = setting(128, "Images of a batch that its task is inferred from.", names_run=False)
    batches: int = setting(10, "Batches of each task's test images whose task is inferred; 0 for all.", names_run=False)
    seed: int = setting(0, "Of weights, scores and permutations.")
    runs: str = setting("runs", "Folder for masks and figures.", names_run=False)

    @property
    def folder(self) -> pathlib.Path:
        """The run's own folder."""
        return pathlib.Path(self.runs) / f"supsup-{self.network}-{self.dataset}-{digest(self)}"


def main(config: SupSup) -> None:
    """Learns what is missing, infers tasks, and prints and stores the figures."""
    if config.tasks < 1 or config.images < 1 or not 0 < config.k <= 1:
        raise ValueError(
            "A run has a task, infers it from an image, and keeps k in (0, 1] of the weights. "
            f"Received: tasks={config.tasks}, images={config.images}, k={config.k}."
        )
    data = datasets.load(config.dataset, data_dir=config.data_dir or None, batch_size=config.batch_size, augment=False)
    train, test = data.arrays("train"), data.arrays("test")
    model = network(config, data, len(train[1]))
    masks, before = Supermasks(model), frozen_digest(model)
    given = learn(config, model, masks, train, test)
    figures: dict[str, Any] = {"tasks": config.tasks, "bytes_per_task": masks.bytes_per_task, "given": given}
    figures |= {search: infer(config, model, masks, test, search) for search in SEARCHES}
    figures |= {"sha256_before": before, "sha256_after": frozen_digest(model)}
    with write_whole(config.folder / "figures.json", "w") as stream:
        json.dump(figures, stream, indent=2)
    rows = [["given", "", mean_and_deviation(given), ""]]
    for search in SEARCHES:
        found = figures[search]
        row = [search, f"{100 * found['right']:.2f}", f"{100 * found['accuracy']:.2f}", f"{found['seconds']:.2f}"]
        rows.append(row)
    show(
        f"{config.tasks} tasks, inferred among {len(masks.names)}",
        ["task", "inferred right, %", "test accuracy, %", "seconds per batch"],
        rows,
    )
    same = "the same" if before == figures["sha256_after"] else "NOT the same"
    print(f"{masks.bytes_per_task:,} bytes per task; the weights are {same} as before the first task.")


def network(config: SupSup, data: datasets.Dataset, examples: int) -> keras.Model:
    """Returns the one network, whose scores are trained."""
    outputs = max(config.outputs, data.classes)
    model = networks.build(config.network, input_shape=data.input_shape, classes=outputs, seed=config.seed)
    steps = -(-examples // config.batch_size) * config.epochs
    tiny = 1e-16  # below the squares of these gradients, as in the authors' code
    optimizer = build_optimizer("rmsprop", config.lr, "cosine", steps, rho=0.99, epsilon=tiny)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    selected = tf_pai.select_subnet(model, "supsup", 1 - config.k, seed=config.seed)
    selected.compile(optimizer, loss, metrics=["accuracy"], steps_per_execution=16)
    return selected


def permuted(config: SupSup, images: np.ndarray, task: int) -> np.ndarray:
    """Returns images with their pixels in the task's order; those of task 0 as they are."""
    flat = images.reshape(len(images), -1)
    order = np.random.default_rng([config.seed, task]).permutation(flat.shape[1]) if task else slice(None)
    return flat[:, order].reshape(images.shape)


def learn(config: SupSup, model: keras.Model, masks: Supermasks, train: Any, test: Any) -> list[float]:
    """Returns the test accuracy of each task, with its own mask."""
    config.folder.mkdir(parents=True, exist_ok=True)
    file, figures = config.folder / "masks.npz", config.folder / "learned.json"
    known: list[float] = json.loads(figures.read_text()) if figures.exists() else []
    if known:
        masks.load(file)
    began = time.perf_counter()
    for task in range(len(known), config.tasks):
        keras.utils.set_random_seed(config.seed + task)
        masks.begin(config.seed + task)
        model.fit(
            permuted(config, train[0], task), train[1], batch_size=config.batch_size, epochs=config.epochs, verbose=0
        )
        masks.store(f"task{task}")
        known.append(float(model.evaluate(permuted(config, test[0], task), test[1], batch_size=1000, verbose=0)[1]))
        masks.save(file)
        with write_whole(figures, "w") as stream:
            json.dump(known, stream)
        seconds = time.perf_counter() - began
        print(f"task {task + 1}/{config.tasks}  accuracy {known[-1]:.4f}  {seconds:.0f} s", flush=True)
    return known[: config.tasks]


def infer(config: SupSup, model: keras.Model, masks: Supermasks, test: Any, search: str) -> dict[str, float]:
    """Returns how often the task of a batch is inferred right, the accuracy with what was inferred, and the seconds."""
    predict = tf.function(lambda x: tf.argmax(model(x, training=False), -1))
    right, correct, seconds = [], [], []
    for task in range(config.tasks):
        images = permuted(config, test[0], task)
        batches = range(0, len(images) - config.batch_size + 1, config.batch_size)
        for begin in batches[: config.batches or None]:
            x = images[begin : begin + config.batch_size]
            start = time.perf_counter()
            name = masks.infer(x[: config.images], search)
            seconds.append(time.perf_counter() - start)
            masks.use(name)
            right.append(name == f"task{task}")
            correct.append(float(np.mean(predict(x).numpy() == test[1][begin : begin + len(x)])))
        if (task + 1) % 10 == 0:
            print(
                f"task {task + 1}/{config.tasks}  inferred by {search}: {100 * statistics.fmean(right):.2f} % right",
                flush=True,
            )
    accuracy, share = statistics.fmean(correct), statistics.fmean(right)
    return {"right": share, "accuracy": accuracy, "seconds": statistics.median(seconds)}


if __name__ == "__main__":
    launch(SupSup, main)
