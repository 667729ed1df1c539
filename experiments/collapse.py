"""Layer collapse: the fewest weights that any layer keeps, over the compression, for methods without training.

  python -m experiments.collapse

Compression 10^e keeps N / 10^e of N weights. A 0 says that no signal passes: the layer is empty. Default: VGG-16 with
BatchNorm at a quarter of its width, 10 classes, 100 random images (Tanaka et al., NeurIPS 2020, figure 1, made small).
"""

from experiments import quiet  # noqa: F401, isort: skip

import dataclasses
import pathlib
import warnings
from collections.abc import Sequence

import keras
import numpy as np

import tf_pai
from experiments.config import digest, launch, setting
from experiments.settings import network_names
from experiments.table import show, write
from tf_pai import networks
from tf_pai.reporting.progress import progress
from tf_pai.topk import keep_highest

Method = str | tf_pai.criteria.Criterion
# All in BatchNorm's inference mode, as that comparison was made; GraSP's own default is training mode.
METHODS: dict[str, tuple[Method, int]] = {
    "magnitude": ("magnitude", 1),
    "random": ("random", 1),
    "SNIP": ("snip", 1),
    "GraSP": (tf_pai.criteria.GraSP(training=False), 1),
    "SynFlow 1": ("synflow", 1),
    "SynFlow 100": ("synflow", 100),
}


@dataclasses.dataclass(frozen=True)
class Collapse:
    """What is pruned, and how far."""

    network: str = setting("vgg_16", "What is pruned.", network_names)
    width: float = setting(0.25, "Factor on every channel and unit count inside the network.")
    side: int = setting(32, "Pixels per side of the random images.")
    images: int = setting(100, "Number of random images.")
    classes: int = setting(10, "Number of classes, the labels in turn.")
    exponents: tuple[float, ...] = setting(
        tuple(e / 4 for e in range(4, 16)), "Compressions to prune to, as powers of ten."
    )
    seed: int = setting(0, "Of weights, images and scores.")
    runs: str = setting("runs", "Folder for the figures.", names_run=False)


def main(config: Collapse) -> None:
    """Prunes, and prints and stores the table."""
    generator = np.random.default_rng(config.seed)
    shape = (config.side, config.side, 3)
    x = generator.standard_normal((config.images, *shape)).astype("float32")
    data = x, np.arange(config.images) % config.classes
    densities = [10**-exponent for exponent in config.exponents]
    counts = {}
    for name in progress(list(METHODS), "methods"):
        model = networks.build(
            config.network, input_shape=shape, classes=config.classes, width=config.width, seed=config.seed
        )
        counts[name] = fewest_kept(model, *METHODS[name], densities, data, config.seed)
    rows = [
        {"exponent": exponent, **{name: values[i] for name, values in counts.items()}}
        for i, exponent in enumerate(config.exponents)
    ]
    show("fewest weights kept by any layer at compression 10^e", ["e", *METHODS], [_texts(row) for row in rows])
    file = pathlib.Path(config.runs) / f"collapse-{config.network.replace(':', '-')}-{digest(config)}"
    write(file, rows)
    print(f"Figures: {file}.csv and .json")


def fewest_kept(
    model: keras.Model, method: Method, rounds: int, densities: Sequence[float], data: tuple, seed: int
) -> list[int]:
    """Returns, for each density, the number of weights that the emptiest layer keeps."""
    if rounds == 1:
        scores = list(tf_pai.score(model, method, data=data, seed=seed).values())
        total = sum(score.size for score in scores)
        return [min(int(mask.sum()) for mask in keep_highest(scores, round(d * total))) for d in densities]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that layers are emptied is what is looked at here
        pruned = [
            tf_pai.prune_at_init(model, method, 1 - d, schedule=f"iterative:{rounds}", seed=seed, verbose=0)
            for d in densities
        ]
    return [min(int(mask.sum()) for mask in tf_pai.get_masks(model).values()) for model in pruned]


def _texts(row: dict[str, float]) -> list[str]:
    return [f"{value:g}" for value in row.values()]


if __name__ == "__main__":
    launch(Collapse, main)
