"""LeNet-300-100 on MNIST with random masks: test accuracy and seconds of masked and of sparse compute, seed by seed.

python -m experiments.sparse_accuracy --data_dir=DIR
"""

from experiments import quiet  # noqa: F401, isort: skip

import dataclasses
import statistics
import time
from typing import Any

import keras

import tf_pai
from experiments.config import launch, setting
from experiments.table import mean_and_deviation, show
from tf_pai import datasets, networks


@dataclasses.dataclass(frozen=True)
class SparseAccuracy:
    """What is trained."""

    data_dir: str = setting("", "Folder with MNIST; default: TFDS' own, with download.")
    sparsity: float = setting(0.95, "Of the two hidden layers and the last.")
    epochs: int = setting(5, "Passes over the training data.")
    batch_size: int = setting(60, "Examples per step.")
    seeds: int = setting(3, "Runs of each kind.")


def main(config: SparseAccuracy) -> None:
    """Trains, and prints a table."""
    data = datasets.load("mnist", data_dir=config.data_dir or None)
    forms = ("masked", "sparse")
    runs = {form: [trained(config, data, form, seed) for seed in range(config.seeds)] for form in forms}
    seconds = {form: statistics.median(time for _, time in runs[form]) for form in forms}
    rows = []
    for form in forms:
        accuracies = [accuracy for accuracy, _ in runs[form]]
        each = " ".join(f"{100 * accuracy:.2f}" for accuracy in accuracies)
        rows.append([form, mean_and_deviation(accuracies), each, f"{seconds[form]:.1f} s"])
    show("LeNet-300-100 on MNIST, Adam", ["compute", "test accuracy", "of each seed", "fit"], rows)
    print(f"seconds sparse / masked: {seconds['sparse'] / seconds['masked']:.2f}")


def trained(config: SparseAccuracy, data: datasets.Dataset, compute: str, seed: int) -> tuple[float, float]:
    """Returns (test accuracy, seconds of `fit` after a first step that traces)."""
    model = networks.build("lenet_300_100", input_shape=data.input_shape, classes=data.classes, seed=seed)
    options: dict[str, Any] = {"distribution": "erk", "compute": compute, "seed": seed, "verbose": 0}
    model = tf_pai.prune_at_init(model, "random", config.sparsity, **options)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    x, y = data.arrays("train")
    model.compile(keras.optimizers.Adam(0.0), loss, metrics=["accuracy"])
    model.fit(x[: config.batch_size], y[: config.batch_size], batch_size=config.batch_size, verbose=0)
    model.optimizer.learning_rate = 1e-3
    keras.utils.set_random_seed(seed)  # the order of the examples
    began = time.perf_counter()
    model.fit(x, y, batch_size=config.batch_size, epochs=config.epochs, verbose=0)
    seconds = time.perf_counter() - began
    return model.evaluate(*data.arrays("test"), batch_size=1000, verbose=0)[1], seconds


if __name__ == "__main__":
    launch(SparseAccuracy, main)
