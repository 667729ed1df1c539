"""What exports weigh, as fractions of the dense ones: the table of the README.

  python -m experiments.export_sizes

Networks at initialization, pruned by random scores with ERK; biases and BatchNorm take random values, so that nothing
is small only because nothing was trained. Each export was run and its outputs were compared with the Keras model's.
"""

from experiments import quiet  # noqa: F401, isort: skip

import dataclasses
import pathlib
import tempfile
from typing import Any

import keras
import numpy as np

import tf_pai
from experiments.config import launch, setting
from tf_pai import networks
from tf_pai.export.report import bytes_of
from tf_pai.layers import prunable_weights, weights_of

SHAPES = {"lenet_300_100": (28, 28, 1), "text_transformer": (64,)}
HEAD = ("network", "sparsity", "TFLite", "gzipped", "SavedModel", "gzipped", "difference", "rest of TFLite")


@dataclasses.dataclass(frozen=True)
class ExportSizes:
    """What is exported."""

    networks: tuple[str, ...] = setting(
        ("vgg_16", "mobilenet_v1", "resnet_20", "lenet_300_100", "text_transformer"),
        "Registered networks.",
        networks.list_networks,
    )
    sparsities: tuple[str, ...] = setting(("0.8", "0.9", "0.95", "0.98"), "Fractions removed.")
    seed: int = setting(0, "Of weights and masks.")


def main(config: ExportSizes) -> None:
    """Prints the table, in Markdown, a row as soon as it is known."""
    print("| " + " | ".join(HEAD) + " |\n|" + "---|" * len(HEAD), flush=True)
    for name in config.networks:
        with tempfile.TemporaryDirectory() as folder:
            for sparsity in config.sparsities:
                print("| " + " | ".join(_row(name, float(sparsity), config.seed, folder)) + " |", flush=True)


def _row(name: str, sparsity: float, seed: int, folder: str) -> list[str]:
    model = _network(name, seed)
    pruned = tf_pai.prune_at_init(model, "random", sparsity, distribution="erk", seed=seed)
    lite = tf_pai.export_tflite(pruned, pathlib.Path(folder, f"{sparsity}.tflite"))
    saved = tf_pai.export_saved_model(pruned, pathlib.Path(folder, f"{sparsity}"))
    rest = lite.bytes_sparse - sum(tensor.bytes for tensor in lite.tensors)
    twice = _keras_bytes(model, folder) / saved.bytes_dense
    return [
        f"{name}, {lite.bytes_dense / 1e6:.2f} MB (Keras' SavedModel: {twice:.2f} x plain)",
        f"{100 * sparsity:g} %",
        f"{lite.ratio:.3f}",
        f"{lite.gzip_sparse / lite.gzip_dense:.3f}",
        f"{saved.ratio:.3f}",
        f"{saved.gzip_sparse / saved.gzip_dense:.3f}",
        f"{lite.relative_difference:.0e}, {saved.relative_difference:.0e}",
        f"{rest / lite.bytes_dense:.3f}",
    ]


def _network(name: str, seed: int) -> keras.Model:
    model = networks.build(name, input_shape=SHAPES.get(name, (32, 32, 3)), classes=10, seed=seed)
    generator, kernels = np.random.default_rng(seed), set(prunable_weights(model))
    for path, variable in weights_of(model).items():
        if path not in kernels and "float" in variable.dtype:
            variable.assign(generator.uniform(0.5, 1.5, variable.shape))
    return model


def _keras_bytes(model: keras.Model, folder: str) -> float:
    """Bytes of Keras' own SavedModel, written once per network."""
    target: Any = pathlib.Path(folder, "keras")
    if not target.exists():
        model.export(str(target), verbose=False)
    return bytes_of(target)[0]


if __name__ == "__main__":
    launch(ExportSizes, main)
