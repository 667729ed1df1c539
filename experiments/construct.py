"""Proving and Logarithmic: how near the subnet of a random network is to its target, over the width, beside the bounds.

  python -m experiments.construct

The target, 2-3-1 without biases, is trained on a function of the unit disc, and scaled to spectral norms of 1. A width
is what the theorem asks for, for each epsilon; measured is the largest distance of the outputs over random inputs.
"""

from experiments import quiet  # noqa: F401, isort: skip

import dataclasses
import pathlib
from typing import Any

import keras
import numpy as np

from experiments.config import digest, launch, setting
from experiments.table import show, write
from tf_pai.selection import Construction, Logarithmic, Proving

CONSTRUCTIONS: dict[str, type[Construction]] = {"proving": Proving, "logarithmic": Logarithmic}


@dataclasses.dataclass(frozen=True)
class Construct:
    """What is constructed, and how it is measured."""

    hidden: int = setting(3, "Units of the target's hidden layer.")
    proving: tuple[float, ...] = setting((2.0, 1.0, 0.5, 0.25), "Epsilons asked of Proving.")
    logarithmic: tuple[float, ...] = setting((1.0, 0.1, 0.01, 0.001), "Epsilons asked of Logarithmic.")
    inputs: int = setting(10_000, "Random inputs that the outputs are compared on.")
    seed: int = setting(0, "Of target, inputs and random networks.")
    runs: str = setting("runs", "Folder for figures and plot.", names_run=False)


def main(config: Construct) -> None:
    """Constructs, and prints, stores and plots the errors."""
    target, x = trained_target(config), disc(config.inputs, config.seed + 1)
    rows = [measure(config, target, x, name, e) for name in CONSTRUCTIONS for e in getattr(config, name)]
    file = pathlib.Path(config.runs) / f"construct-{digest(config)}"
    write(file, rows)
    plot(rows, file.with_suffix(".png"))
    head = ["construction", "epsilon", "width by theorem", "measured error", "within"]
    shown = [
        [r["construction"], f"{r['epsilon']:g}", f"{r['width']:,}", f"{r['error']:.2e}", "yes" if r["within"] else "NO"]
        for r in rows
    ]
    show(f"largest error over {config.inputs:,} inputs", head, shown)
    print(f"Plot: {file}.png")


def disc(count: int, seed: int) -> np.ndarray:
    """Returns points of the unit disc, [count, 2]; a tenth of them on its edge."""
    generator = np.random.default_rng(seed)
    x = generator.standard_normal((count, 2))
    radius = np.sqrt(generator.uniform(0, 1, (count, 1)))
    radius[: count // 10] = 1.0
    return (x / np.linalg.norm(x, axis=1, keepdims=True) * radius).astype("float32")


def trained_target(config: Construct) -> keras.Model:
    """Returns the small network, trained and scaled."""
    keras.utils.set_random_seed(config.seed)
    layers = [keras.layers.Dense(config.hidden, "relu", use_bias=False), keras.layers.Dense(1, use_bias=False)]
    model = keras.Sequential([keras.Input((2,)), *layers])
    model.compile(keras.optimizers.Adam(0.02), "mse")
    x = disc(1024, config.seed)
    model.fit(x, np.abs(x[:, :1]) - 0.5 * np.maximum(x[:, 1:], 0), batch_size=64, epochs=20, verbose=0)
    model.set_weights([kernel / np.linalg.norm(kernel, 2) for kernel in model.get_weights()])
    return model


def measure(config: Construct, target: keras.Model, x: np.ndarray, name: str, epsilon: float) -> dict[str, Any]:
    """Returns the width that the theorem gives for epsilon, and the error that is measured at it."""
    made = CONSTRUCTIONS[name](epsilon=epsilon).build(target, config.seed)
    batch = max(1, 2**24 // max(made.widths))
    error = max(
        float(np.linalg.norm(made.model(x[i : i + batch]) - target(x[i : i + batch]), axis=-1).max())
        for i in range(0, len(x), batch)
    )
    row = {"construction": name, "epsilon": epsilon, "promised": made.epsilon, "width": max(made.widths)}
    return {**row, "error": error, "within": error <= epsilon}


def plot(rows: list[dict[str, Any]], file: pathlib.Path) -> None:
    """Draws error and bound over the width."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.add_subplot(xscale="log", yscale="log", xlabel="neurons of the widest block", ylabel="output error")
    for name, color in zip(CONSTRUCTIONS, ("#3b82c4", "#d97b29"), strict=True):
        own = sorted((r["width"], r["promised"], r["error"]) for r in rows if r["construction"] == name)
        widths, bounds, errors = zip(*own, strict=True)
        axes.plot(widths, bounds, "--", color=color, label=f"{name}, bound")
        axes.plot(widths, errors, "o-", color=color, label=f"{name}, measured")
    figure.legend(loc="outside lower center", ncols=2)  # inside, it would lie on a line
    figure.savefig(file, dpi=150)


if __name__ == "__main__":
    launch(Construct, main)
