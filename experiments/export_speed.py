"""How much faster a Dense network in 4x1 blocks runs than the same file with every zero, in the LiteRT interpreter.

  python -m experiments.export_speed

Two hidden layers of `units` from `units` inputs, and 10 outputs; random weights, blocks pruned by magnitude.
Batch 1, as many threads as the interpreter takes by itself; runs of the two files alternate, and each round gives the
ratio of their medians.
"""

from experiments import quiet  # noqa: F401, isort: skip

import dataclasses
import pathlib
import tempfile

import keras
import numpy as np

import tf_pai
from experiments.config import launch, setting
from experiments.timing import spread
from tf_pai.export.interpreter import time_files
from tf_pai.export.tflite import convert


@dataclasses.dataclass(frozen=True)
class ExportSpeed:
    """What is timed."""

    units: tuple[str, ...] = setting(("1024", "4096"), "Inputs and units of the two hidden layers.")
    sparsity: float = setting(0.9, "Fraction removed.")
    rounds: int = setting(7, "Ratios; each takes about a second.")
    seed: int = setting(0, "Of the weights.")


def main(config: ExportSpeed) -> None:
    """Prints a line per network."""
    for units in config.units:
        print(line(int(units), config), flush=True)


def line(units: int, config: ExportSpeed) -> str:
    """Returns the ratio of one network, with its spread."""
    keras.utils.set_random_seed(config.seed)
    widths = [keras.layers.Dense(units, "relu"), keras.layers.Dense(units, "relu"), keras.layers.Dense(10)]
    model = keras.Sequential([keras.Input((units,)), *widths])
    model = tf_pai.prune_at_init(model, "magnitude", config.sparsity, structure="block:4x1", distribution="uniform")
    with tempfile.TemporaryDirectory() as folder:
        dense, sparse = pathlib.Path(folder, "dense.tflite"), pathlib.Path(folder, "sparse.tflite")
        dense.write_bytes(convert(model, pathlib.Path(folder, "saved")))
        tf_pai.export_tflite(model, sparse)
        example = {"": np.random.default_rng(config.seed).standard_normal((1, units)).astype("float32")}
        seconds = [time_files([dense, sparse], example) for _ in range(config.rounds)]
    name = f"{units}-{units}-{units}-10, 4x1 blocks, {config.sparsity:.0%} removed"
    times = " -> ".join(f"{1e3 * min(column):.3g}" for column in zip(*seconds, strict=True))
    return f"{name}: {spread([a / b for a, b in seconds], 2)} x as fast as dense ({times} ms, {config.rounds} rounds)"


if __name__ == "__main__":
    launch(ExportSpeed, main)
