"""SavedModels: the same outputs, half the size of Keras' own and less, loaded where tf_pai is not."""

import subprocess
import sys
import threading

import keras
import numpy as np
import pytest
import tensorflow as tf

import tf_pai
from tests.export.models import convnet, outputs, perceptron, pruned
from tf_pai.export.report import bytes_of

LOAD = """
import sys, numpy as np, tensorflow as tf
assert not any(name.startswith("tf_pai") for name in sys.modules)
loaded = tf.saved_model.load(sys.argv[1])
x = np.load(sys.argv[2])
np.save(sys.argv[3], loaded.serve(x).numpy())
with tf.compat.v1.Session(graph=tf.Graph()) as session:  # TensorFlow's C++ loader, as in TensorFlow Serving
    signature = tf.compat.v1.saved_model.load(session, ["serve"], sys.argv[1]).signature_def["serving_default"]
    served = session.run(signature.outputs["output_0"].name, {signature.inputs["x"].name: x})
np.testing.assert_array_equal(served, np.load(sys.argv[3]))
"""


@pytest.mark.parametrize("form", ["plain", "compressed"])
def test_convnet_gives_the_same_outputs(tmp_path, form):
    model = pruned(convnet())
    before = [variable.numpy() for variable in model.variables]
    report = tf_pai.export_saved_model(model, tmp_path / "out", form)
    limit = 0 if form == "plain" else 1e-6  # some processors fuse the stored scale and shift, and round once
    assert report.relative_difference <= limit and report.agreement == 1
    x = np.random.default_rng(1).standard_normal((3, 8, 8, 3)).astype("float32")
    loaded, expected = tf.saved_model.load(str(tmp_path / "out")), outputs(model, x)
    for found in (loaded.serve(x), loaded.signatures["serving_default"](image=x)["output_0"]):
        np.testing.assert_allclose(found, expected, rtol=0, atol=limit * np.abs(expected).max())
    assert all(np.array_equal(a, b.numpy()) for a, b in zip(before, model.variables, strict=True))
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_loads_without_tf_pai_and_by_the_loader_of_tensorflow_serving(tmp_path):
    model = pruned(perceptron(units=256, inputs=64), 0.95)
    tf_pai.export_saved_model(model, tmp_path / "out")
    x = np.random.default_rng(1).standard_normal((5, 64)).astype("float32")
    np.save(tmp_path / "x.npy", x)
    files = [str(tmp_path / name) for name in ("out", "x.npy", "y.npy")]
    done = subprocess.run([sys.executable, "-c", LOAD, *files], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    np.testing.assert_array_equal(np.load(tmp_path / "y.npy"), outputs(model, x))


def test_is_as_small_as_its_kept_values(tmp_path):
    model = pruned(perceptron(units=1024, inputs=512), 0.95)
    report = tf_pai.export_saved_model(model, tmp_path / "out")
    assert report.bytes_sparse == bytes_of(tmp_path / "out")[0]
    kept = 5 * int(0.05 * 512 * 1024)  # four bytes a value, one byte its place
    assert kept < report.bytes_sparse < kept + 60_000 and report.ratio < 0.1
    assert report.encodings["hidden/kernel"] == "gaps"
    keras.Model.export(tf_pai.strip(model), str(tmp_path / "keras"), verbose=False)
    assert 1.9 < bytes_of(tmp_path / "keras")[0] / report.bytes_dense < 2.1


def test_several_inputs_and_outputs_keep_their_names(tmp_path):
    a, b = keras.Input((64,), name="left"), keras.Input((64,), name="right")
    shared = keras.layers.Dense(80, name="shared")
    joined = keras.layers.Concatenate()([shared(a), shared(b)])
    model = keras.Model({"left": a, "right": b}, {"sum": keras.layers.Dense(3)(joined), "raw": shared(b)})
    model = pruned(model, 0.9)
    tf_pai.export_saved_model(model, tmp_path / "out")
    rng = np.random.default_rng(1)
    x = {name: rng.standard_normal((2, 64)).astype("float32") for name in ("left", "right")}
    loaded = tf.saved_model.load(str(tmp_path / "out"))
    served, expected = loaded.serve(x), model(x)
    for name in ("sum", "raw"):
        np.testing.assert_array_equal(served[name], expected[name])


def test_subclassed_model_stays_wrapped(tmp_path):
    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.hidden, self.fc = keras.layers.Dense(80, "relu"), keras.layers.Dense(3)

        def call(self, x):
            return self.fc(self.hidden(x))

    model = Own()
    model(np.zeros((1, 64), "float32"))
    model = pruned(model, 0.9)
    tf_pai.export_saved_model(model, tmp_path / "out")
    x = np.random.default_rng(1).standard_normal((2, 64)).astype("float32")
    loaded = tf.saved_model.load(str(tmp_path / "out"))
    np.testing.assert_array_equal(loaded.serve(x), outputs(model, x))
    assert isinstance(model.hidden, tf_pai.PrunableLayer) and tf_pai.verify(model)


def test_serves_several_threads(tmp_path):
    model = pruned(perceptron(units=256), 0.9)
    tf_pai.export_saved_model(model, tmp_path / "out")
    loaded = tf.saved_model.load(str(tmp_path / "out"))
    x = np.random.default_rng(1).standard_normal((4, 64)).astype("float32")
    found = {}

    def serve(i):
        found[i] = [loaded.serve(x).numpy() for _ in range(20)]

    threads = [threading.Thread(target=serve, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(np.array_equal(y, outputs(model, x)) for ys in found.values() for y in ys) and len(found) == 4


def test_one_model_is_exported_by_several_threads(tmp_path):
    model, found = pruned(perceptron(units=256), 0.9), {}

    def export(i):
        found[i] = tf_pai.export_saved_model(model, tmp_path / str(i)).max_difference

    threads = [threading.Thread(target=export, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == dict.fromkeys(range(4), 0) and tf_pai.verify(model)


def test_batch_norm_is_stored_as_scale_and_shift_and_gives_the_same_outputs(tmp_path):
    model = pruned(convnet())
    report = tf_pai.export_saved_model(model, tmp_path / "out")
    constant = {name for name, encoding in report.encodings.items() if encoding == "constant"}
    assert constant == {"norm/moving_mean", "norm/moving_variance"} and report.relative_difference <= 1e-6


def test_batch_norm_without_scale_keeps_its_vectors(tmp_path):
    layers = keras.layers
    stack = [keras.Input((64,)), layers.Dense(80), layers.BatchNormalization(scale=False, name="norm"), layers.Dense(4)]
    model = pruned(keras.Sequential(stack))
    rng = np.random.default_rng(0)
    for variable in model.get_layer("norm").variables:
        variable.assign(rng.uniform(0.5, 1.5, variable.shape))
    report = tf_pai.export_saved_model(model, tmp_path / "out")
    assert report.relative_difference <= 1e-5
    assert not [name for name, encoding in report.encodings.items() if "norm" in name and encoding == "constant"]
