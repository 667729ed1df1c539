"""The nets of the oracle's README as Keras models, with the weights and the batch stored beside the golden data."""

import json
from pathlib import Path

import keras
import numpy as np

from tests.support import shared_path

L = keras.layers


def golden(name):
    """The arrays of an .npz file, or the content of a .json file, of the oracle."""
    path = shared_path("oracle", name)
    return json.loads(path.read_text()) if path.suffix == ".json" else np.load(path, allow_pickle=False)


def cases(kind):
    """The nets that the oracle holds data of this kind for; a made-up one, whose tests are skipped, without oracle."""
    folder = Path(__file__).resolve().parents[2].with_name("shared") / "oracle"
    return sorted(path.name.split("__")[0] for path in folder.glob(f"*__{kind}.npz")) or ["mlp_absent"]


def mlp():
    layers = [L.Dense(32, "relu", name="fc1"), L.Dense(16, "relu", name="fc2"), L.Dense(5, name="fc3")]
    return keras.Sequential([keras.Input((20,)), *layers])


def conv():
    return keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            L.ZeroPadding2D(1),
            L.Conv2D(8, 3, activation="relu", name="conv1"),
            L.ZeroPadding2D(1),  # "same" would pad the strided one on one side only
            L.Conv2D(16, 3, strides=2, activation="relu", name="conv2"),
            L.GlobalAveragePooling2D(),
            L.Dense(5, name="fc"),
        ]
    )


def _conv_norm(x, filters, strides, conv_name, norm_name, size=3):
    if size == 3:
        x = L.ZeroPadding2D(1)(x)
    x = L.Conv2D(filters, size, strides=strides, use_bias=False, name=conv_name)(x)
    return L.BatchNormalization(epsilon=1e-5, name=norm_name)(x)


def cnn():
    x = inputs = keras.Input((8, 8, 3))
    x = L.ReLU()(_conv_norm(x, 8, 1, "conv1", "bn1"))
    x = L.ReLU()(_conv_norm(x, 16, 2, "conv2", "bn2"))
    return keras.Model(inputs, L.Dense(5, name="fc")(L.GlobalAveragePooling2D()(x)))


def res():
    inputs = keras.Input((8, 8, 3))
    x = L.ReLU()(_conv_norm(inputs, 8, 1, "conv0", "bn0"))
    h = L.ReLU()(_conv_norm(x, 8, 1, "b1c1", "b1n1"))
    x = L.ReLU()(L.Add()([_conv_norm(h, 8, 1, "b1c2", "b1n2"), x]))
    h = L.ReLU()(_conv_norm(x, 16, 2, "b2c1", "b2n1"))
    h = _conv_norm(h, 16, 1, "b2c2", "b2n2")
    x = L.ReLU()(L.Add()([h, _conv_norm(x, 16, 2, "b2sc", "b2ns", size=1)]))
    return keras.Model(inputs, L.Dense(5, name="fc")(L.GlobalAveragePooling2D()(x)))


NETS = {"mlp": mlp, "conv": conv, "cnn": cnn, "res": res}


def load(case):
    """(model with the stored weights, (x, y)) of a case such as "mlp_s0"."""
    stored = golden(f"{case}__net.npz")
    model = NETS[case.split("_")[0]]()
    for key in stored.files:
        if key.startswith("w/"):
            _, layer, name = key.split("/")
            variable = next(v for v in model.get_layer(layer).variables if v.name == name)
            variable.assign(stored[key])
    model.compile(loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model, (stored["x"], stored["y"])


def by_path(stored, prefix):
    """{"layer/kernel": array} of the keys prefix/layer, in the file's order."""
    prefix = f"{prefix}/"
    layers = [key.removeprefix(prefix) for key in stored.files if key.startswith(prefix)]
    return {f"{layer}/kernel": stored[f"{prefix}{layer}"] for layer in layers if "/" not in layer}


def assert_same_masks(got, wanted):
    """Masks are equal bit for bit."""
    for path, mask in wanted.items():
        assert (got[path] == mask.astype(bool)).all(), f"{(got[path] != mask.astype(bool)).sum()} bits of {path} differ"


def assert_same_scores(got, wanted, tolerance, up_to_scale=False):
    """max|a - b| / max|b| over all weights, after fitting one positive factor where only the ranking is meant."""
    a = np.concatenate([got[path].ravel() for path in wanted]).astype("float64")
    b = np.concatenate([score.ravel() for score in wanted.values()]).astype("float64")
    if up_to_scale:
        scale = a @ b / (a @ a)
        assert scale > 0, "the scores rank the other way round"
        a = a * scale
    assert np.abs(a - b).max() / np.abs(b).max() <= tolerance
