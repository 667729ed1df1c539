"""What one run is, and the data, network and optimizer that its settings name."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Callable
from typing import Any

import keras

from experiments.config import digest, setting
from tf_pai import datasets, list_methods, networks
from tf_pai.compute import COMPUTE
from tf_pai.training import OPTIMIZERS, SCHEDULES, build_optimizer


def method_names() -> list[str]:
    """Returns the names of all methods."""
    return [info.name for info in list_methods()]


def network_names() -> list[str]:
    """Returns the names of all networks; "NAME" stands for any model of keras.applications."""
    return [*networks.list_networks(), "applications:NAME"]


def dataset_names() -> list[str]:
    """Returns the names of all data sets; "NAME" stands for any set of TFDS."""
    return [info.name for info in datasets.list_datasets()]


@dataclasses.dataclass(frozen=True)
class Settings:
    """One run: what is pruned how far, and how it is trained. The defaults are the protocol of the README's tables."""

    method: str = setting("snip", "How the network is pruned.", method_names)
    sparsity: float = setting(0.9, "Fraction of the weights to remove, in [0, 1).")
    network: str = setting("lenet_300_100", "What is pruned.", network_names)
    width: float = setting(1.0, "Factor on every channel and unit count inside the network.")
    dataset: str = setting("digits", "What it is trained on.", dataset_names)
    data_dir: str = setting(
        "",
        "Folder with the data set as TFDS prepares it, or its files in <dataset>/; "
        "default: TFDS' own folder, with download.",
        names_run=False,
    )
    epochs: int = setting(20, "Number of passes over the training data.")
    batch_size: int = setting(128, "Examples per batch; the last, partial batch is dropped.")
    augment: bool = setting(True, "Crop and mirror the training images of sets for which that is usual.")
    optimizer: str = setting("sgd", "Optimizer.", OPTIMIZERS.names)
    lr: float = setting(0.05, "Learning rate at the first step.")
    schedule: str = setting("cosine", "Learning rate over the steps.", SCHEDULES.names)
    momentum: float = setting(0.9, "Momentum, of optimizers that have one.")
    weight_decay: float = setting(1e-4, "L2 decay, added to the gradient of kernels and biases.")
    score_per_class: int = setting(10, "Images of each class that scores are computed on.")
    distribution: str = setting(
        "", "How many weights stay in each layer: global, uniform, erk, er; default: the method's own."
    )
    structure: str = setting("", "What is pruned: unstructured, N:M, block:RxC, filter; default: the method's own.")
    pruning_schedule: str = setting("", "How: one_shot, iterative:ROUNDS; default: the method's own.")
    min_keep: int = setting(0, "Weights that no layer falls below.")
    compute: str = setting("masked", "With masked dense weights, or with the kept ones only.", lambda: COMPUTE)
    options: tuple[str, ...] = setting((), "The method's other options: --options=rounds=3,finetune_epochs=2.")
    jit_compile: bool = setting(False, "Compile the training step with XLA.")
    steps_per_execution: int = setting(1, "Training steps per call of TensorFlow.")
    train_dense: bool = setting(
        False, "Also train the dense network, as a run of its own, to compare with.", names_run=False
    )
    deterministic: bool = setting(True, "Same command, same result, bit for bit.")
    seed: int = setting(0, "Of initial weights, order of the data, and everything else random.")
    runs: str = setting("runs", "Folder in which each run has its own.", names_run=False)

    def __post_init__(self) -> None:
        if not 0 <= self.sparsity < 1:
            raise ValueError(f"A sparsity is in [0, 1). Received: --sparsity={self.sparsity:g}.")
        for name in ("epochs", "batch_size", "score_per_class", "steps_per_execution"):
            if getattr(self, name) < 1:
                raise ValueError(f"--{name} is 1 or more. Received: --{name}={getattr(self, name)}.")

    @property
    def folder(self) -> pathlib.Path:
        """The run's own folder."""
        parts = (self.network.replace(":", "-"), self.dataset.replace(":", "-"), self.method, f"{self.sparsity:g}")
        return pathlib.Path(self.runs) / "-".join([*parts, digest(self)])

    def load_data(self) -> datasets.Dataset:
        """Returns the data set."""
        return datasets.load(
            self.dataset,
            data_dir=self.data_dir or None,
            batch_size=self.batch_size,
            augment=self.augment,
            seed=self.seed,
        )

    def model_maker(self, data: datasets.Dataset) -> Callable[[], keras.Model]:
        """Returns a function that builds and compiles the network for `data`."""

        def make() -> keras.Model:
            model = networks.build(
                self.network,
                input_shape=data.input_shape,
                classes=data.classes,
                width=self.width,
                weight_decay=self.weight_decay,
                seed=self.seed,
            )
            model.compile(
                build_optimizer(
                    self.optimizer, self.lr, self.schedule, data.steps_per_epoch * self.epochs, self.momentum
                ),
                keras.losses.SparseCategoricalCrossentropy(from_logits=True),
                metrics=["accuracy"],
                jit_compile=self.jit_compile,
                steps_per_execution=self.steps_per_execution,
            )
            return model

        return make

    def method_options(self) -> dict[str, Any]:
        """Returns the options that are given; those left out are the method's own.

        Raises:
            ValueError: an entry of `options` is not name=value.
        """
        named = {
            "distribution": self.distribution,
            "structure": self.structure,
            "schedule": self.pruning_schedule,
            "min_keep": self.min_keep,
            "compute": "" if self.compute == "masked" else self.compute,
        }
        return {name: value for name, value in named.items() if value} | dict(map(_option, self.options))


def _option(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise ValueError(f"--options takes name=value,name=value. Received: {text!r}.")
    for kind in (int, float):
        try:
            return name, kind(value)
        except ValueError:
            continue
    return name, {"true": True, "false": False, "none": None}.get(value.lower(), value)
