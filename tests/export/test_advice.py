"""What the report advises: what runs sparse and where, and the first rule that is broken."""

import pathlib
import re

import keras
import numpy as np
import pytest

from tf_pai.export.advice import advice_on, advice_on_arm
from tf_pai.export.encodings import Encoding, dense
from tf_pai.export.flatbuffer import Constant, File
from tf_pai.export.tflite import convert

L = keras.layers
CSR = Encoding((0, 1), (False, True), {}, 0)


def constant(shape, kind, dtype="float32", zeros=0.9):
    values = (np.random.default_rng(0).random(shape) > zeros).astype(dtype)
    return Constant(0, "w", values, [], [kind])


@pytest.mark.parametrize(
    "weight, encoding, decode_first, advice",
    [
        (constant((8, 8), "FULLY_CONNECTED", zeros=-1), "csr", True, ""),
        (constant((8, 8), "FULLY_CONNECTED"), "dense", True, "stored dense: with .*% zeros of 64 values"),
        (constant((8, 8), "FULLY_CONNECTED"), "csr", False, "runs sparse on x86 and ARM"),
        (constant((8, 6), "FULLY_CONNECTED"), "csr", True, "6 is no multiple of 4; pad them"),
        (constant((8, 8), "FULLY_CONNECTED"), "csr", True, 'prune it with structure="block:4x1"'),
        (constant((8, 8), "FULLY_CONNECTED", "float16"), "csr", True, "export it in 32-bit floats"),
        (constant((8, 1, 1, 8), "CONV_2D"), "csr", True, "dense on x86; on ARM, see the note on XNNPACK"),
        (constant((8, 3, 3, 8), "CONV_2D"), "csr", True, "TFLite has no sparse kernel for it"),
    ],
)
def test_advice_on_a_weight(weight, encoding, decode_first, advice):
    found = advice_on(weight, dense(weight.values) if encoding == "dense" else CSR, decode_first)
    assert re.search(advice, found) if advice else found == ""


ENTRY = [L.ZeroPadding2D(1), L.Conv2D(8, 3, strides=2, name="entry")]
POINTWISE = L.Conv2D(8, 1, activation="relu", name="pointwise")
AVERAGE = L.GlobalAveragePooling2D()


@pytest.mark.parametrize(
    "layers, zeros, note",
    [
        ([*ENTRY, L.DepthwiseConv2D(3, padding="same"), POINTWISE, AVERAGE], 0.9, "computes the 1 1 x 1 convolutions"),
        ([*ENTRY, POINTWISE, AVERAGE], 0.5, "of the weights of 1 x 1 convolutions are zero; prune more than 67%"),
        ([L.Conv2D(8, 3, name="entry"), POINTWISE, AVERAGE], 0.9, "densely: entry.* comes first; it has to be"),
        ([*ENTRY, L.Conv2D(8, 3, name="wide"), POINTWISE, AVERAGE], 0.9, "wide.* is 3 x 3; all but the first"),
        ([*ENTRY, L.DepthwiseConv2D(2, name="even"), POINTWISE, AVERAGE], 0.9, "even.* is 2 x 2; depthwise"),
        ([*ENTRY, POINTWISE, L.MaxPooling2D(2), AVERAGE], 0.9, "is an operation MAX_POOL_2D before the global average"),
        ([*ENTRY, POINTWISE], 0.9, "no global average pooling follows"),
        ([*ENTRY, AVERAGE], 0.9, ""),
    ],
)
def test_advice_on_arm(layers, zeros, note, tmp_path):
    layers = [type(layer).from_config(layer.get_config()) for layer in layers]
    model = keras.Sequential([keras.Input((8, 8, 3)), *layers])
    rng = np.random.default_rng(0)
    for layer in layers:
        if layer.name == "pointwise":
            layer.kernel.assign(np.where(rng.random(layer.kernel.shape) < zeros, 0, 1))
    file = File(convert(model, pathlib.Path(tmp_path, "saved")))
    constants = list(file.constants())
    names = {c.index: next((layer.name for layer in layers if layer.name in c.name), c.name) for c in constants}
    found = advice_on_arm(file, constants, names)
    assert re.search(note, found) if note else found == ""
