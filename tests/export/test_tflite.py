"""TFLite files: the same outputs, the smallest encoding of each weight, and no file where something is wrong."""

import numpy as np
import pytest
import tensorflow as tf

import tf_pai
from tests.export.models import convnet, outputs, perceptron, pruned
from tf_pai.export.interpreter import run_file
from tf_pai.export.report import bytes_of

X = np.random.default_rng(1).standard_normal((5, 8, 8, 3)).astype("float32")


@pytest.fixture(scope="module")
def net():
    return pruned(convnet(), 0.85)


def test_float32_outputs_are_the_models(net, tmp_path):
    report = tf_pai.export_tflite(net, tmp_path / "net.tflite")
    made = run_file(tmp_path / "net.tflite", {"image": X})["output_0"]
    np.testing.assert_allclose(made, outputs(net, X), atol=1e-5 * np.abs(outputs(net, X)).max(), rtol=0)
    assert report.relative_difference <= 1e-5 and report.agreement == 1
    assert (report.bytes_sparse, report.gzip_sparse) == bytes_of(tmp_path / "net.tflite")
    assert report.ratio < 0.8 and report.latency_dense > 0 and report.latency_sparse > 0
    assert (
        report.encodings["pointwise/kernel"].startswith("csr") and report.encodings["conv/kernel"] == "csr along axis 0"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["net.tflite"]


@pytest.mark.parametrize("quantize, tolerance", [("float16", 2e-3), ("int8", 0.1)])
def test_quantized_outputs_are_near(net, tmp_path, quantize, tolerance):
    report = tf_pai.export_tflite(net, tmp_path / "net.tflite", quantize, representative=X)
    made = run_file(tmp_path / "net.tflite", {"image": X})["output_0"]
    assert np.abs(made - outputs(net, X)).max() <= tolerance * np.abs(outputs(net, X)).max()
    assert any(encoding != "dense" for encoding in report.encodings.values())


def test_dense_layer_in_blocks_is_computed_as_it_is_stored(tmp_path):
    model = pruned(perceptron(units=128), 0.9, structure="block:4x1", exclude="fc")
    report = tf_pai.export_tflite(model, tmp_path / "net.tflite")
    assert report.encodings["hidden/kernel"] == "1x4 blocks"
    interpreter = tf.lite.Interpreter(str(tmp_path / "net.tflite"))
    assert "DENSIFY" not in {details["op_name"] for details in interpreter._get_ops_details()}
