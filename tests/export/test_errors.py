"""Wrong input: a clear error, before anything is written."""

import os
import resource
import signal
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

import tf_pai
from tests.export.models import perceptron, pruned
from tf_pai.export import checks, interpreter, tflite

EXPORTS = [tf_pai.export_saved_model, tf_pai.export_tflite]


@pytest.fixture(scope="module")
def model():
    return pruned(perceptron(), 0.9)


@pytest.mark.parametrize("export", EXPORTS)
def test_wrong_models(export, tmp_path):
    with pytest.raises(ValueError, match="An export takes a pruned model. Received: .*in which no weight is zero"):
        export(perceptron(), tmp_path / "out")
    with pytest.raises(ValueError, match="An export takes a built model"):
        export(keras.Sequential([keras.layers.Dense(2)]), tmp_path / "out")
    with pytest.raises(TypeError, match="An export takes a Keras 3 model. Received: builtins.str"):
        export("model", tmp_path / "out")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("export", EXPORTS)
def test_wrong_paths(export, model, tmp_path):
    (tmp_path / "there").write_text("mine")
    with pytest.raises(ValueError, match="written to a new path. Received: .*there', which exists"):
        export(model, tmp_path / "there")
    with pytest.raises(ValueError, match="into a folder that exists. Received: .*Make .*nowhere' first"):
        export(model, tmp_path / "nowhere" / "out")
    with pytest.raises(ValueError, match="into a folder that can be written"):
        export(model, "/proc/out")  # where nobody may write, not even root
    assert [path.name for path in tmp_path.iterdir()] == ["there"] and (tmp_path / "there").read_text() == "mine"


def test_wrong_options(model, tmp_path):
    with pytest.raises(ValueError, match="Received: form='compresed'. Did you mean 'compressed'?"):
        tf_pai.export_saved_model(model, tmp_path / "out", "compresed")
    with pytest.raises(
        ValueError, match="takes the ranges of activations from examples. Received: representative=None"
    ):
        tf_pai.export_tflite(model, tmp_path / "out", "int8")
    with pytest.raises(ValueError, match="holds at least one example. Received: none"):
        tf_pai.export_tflite(model, tmp_path / "out", "int8", np.zeros((0, 64), "float32"))
    with pytest.raises(ValueError, match="Dynamic-range quantization of sparse weights is refused"):
        tf_pai.export_tflite(model, tmp_path / "out", "dynamic")
    with pytest.raises(ValueError, match='quantize is None, "float16" or "int8". Received: quantize=8'):
        tf_pai.export_tflite(model, tmp_path / "out", 8)
    assert not list(tmp_path.iterdir())


@keras.saving.register_keras_serializable("tests")
class ErfInv(keras.layers.Layer):
    def call(self, x):
        return tf.math.erfinv(x)


@keras.saving.register_keras_serializable("tests")
class PythonCode(keras.layers.Layer):
    def call(self, x):
        return tf.ensure_shape(tf.numpy_function(np.tanh, [x], x.dtype), x.shape)


@keras.saving.register_keras_serializable("tests")
class UntrackedTable(keras.layers.Layer):
    tables = []

    def call(self, x):
        if not self.tables:
            with tf.init_scope():
                start = tf.lookup.KeyValueTensorInitializer([0], [1.0], tf.int32, tf.float32)
                self.tables.append(tf.lookup.StaticHashTable(start, 0.0))
        return x + self.tables[0].lookup(tf.constant(0))


@keras.saving.register_keras_serializable("tests")
class Broken(keras.layers.Layer):
    def call(self, x):
        return x if tf.executing_eagerly() else x + nothing  # noqa: F821

    def compute_output_spec(self, x):
        return keras.KerasTensor(x.shape)


def ending_in(layer):
    return pruned(keras.Sequential([keras.Input((8,)), keras.layers.Dense(64), layer]), 0.9)


def test_operation_that_tflite_does_not_have(tmp_path):
    with pytest.raises(ValueError, match="operations that TFLite has.*could not be converted: .*Erfinv"):
        tf_pai.export_tflite(ending_in(ErfInv()), tmp_path / "out")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("layer", [PythonCode, UntrackedTable])
def test_what_tensorflow_cannot_save(tmp_path, layer):
    model = ending_in(layer())
    for export in EXPORTS:
        with pytest.raises(ValueError, match="TensorFlow operations and variables only.*could not be traced and saved"):
            export(model, tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_the_reason_in_traced_code_is_named(tmp_path):
    with pytest.raises(ValueError, match="NameError: name 'nothing' is not defined. Take Python code"):
        tf_pai.export_saved_model(ending_in(Broken()), tmp_path / "out")


def test_recurrent_layers_are_told_what_to_do(tmp_path):
    stack = [keras.Input((3, 8)), keras.layers.GRU(4), keras.layers.Dense(64), keras.layers.Dense(2)]
    with pytest.raises(ValueError, match="its loop over time has no fixed batch; make recurrent layers with unroll"):
        tf_pai.export_tflite(pruned(keras.Sequential(stack)), tmp_path / "out")
    stack[1] = keras.layers.GRU(4, unroll=True)
    assert tf_pai.export_tflite(pruned(keras.Sequential(stack)), tmp_path / "out").relative_difference < 1e-5


@pytest.mark.parametrize("export", EXPORTS)
def test_full_disk(export, tmp_path):
    """No file may grow beyond 100 kB: what is written fails in the middle of it."""
    model = pruned(perceptron(units=1024), 0.5)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(OSError, match="A SavedModel could not be written: .*File too large"):
            export(model, tmp_path / "out")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not list(tmp_path.iterdir())


KILLED = """
import os, signal, sys, keras, tf_pai
from tf_pai.export import report, saved_model, tflite
def kill(*_): os.kill(os.getpid(), signal.SIGKILL)
saved_model._tensors = tflite._note = kill  # when the files are there, and have no name yet
model = keras.Sequential([keras.Input((16,)), keras.layers.Dense(64), keras.layers.Dense(4)])
getattr(tf_pai, sys.argv[1])(tf_pai.prune_at_init(model, "magnitude", 0.9), sys.argv[2])
"""


@pytest.mark.parametrize("export", ["export_saved_model", "export_tflite"])
def test_killed(export, tmp_path):
    command = [sys.executable, "-c", KILLED, export, str(tmp_path / "out")]
    assert subprocess.run(command, capture_output=True, cwd=os.getcwd()).returncode == -signal.SIGKILL
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("export, module", zip(EXPORTS, ["saved_model", "tflite"], strict=True))
def test_outputs_that_differ_leave_no_file(export, module, model, tmp_path, monkeypatch):
    monkeypatch.setattr(f"tf_pai.export.{module}.predictions", lambda m, x: [checks.predictions(m, x)[0] + 1])
    with pytest.raises(ValueError, match="An export gives the model's outputs, within 1e-05 .* was not written"):
        export(model, tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_a_crash_of_the_interpreter_is_named(model, tmp_path, monkeypatch):
    """A worker that ends by SIGSEGV on the first request; the next export gets a new one."""
    crashing = tmp_path / "crashing.py"
    crashing.write_text("import os, signal, sys\nsys.stdin.readline()\nos.kill(os.getpid(), signal.SIGSEGV)\n")
    folder = tmp_path / "exports"
    folder.mkdir()
    interpreter._process.stop()
    with monkeypatch.context() as patch:
        patch.setattr(interpreter, "_WORKER", crashing)
        with pytest.raises(RuntimeError, match="The LiteRT interpreter crashed \\(SIGSEGV\\) on .*sparse.tflite"):
            tf_pai.export_tflite(model, folder / "out.tflite")
    assert not list(folder.iterdir())
    assert tf_pai.export_tflite(model, folder / "out.tflite").agreement == 1


def test_a_file_that_the_interpreter_refuses_is_named(tmp_path):
    (tmp_path / "bad.tflite").write_bytes(b"nothing")
    with pytest.raises(RuntimeError, match="The LiteRT interpreter refused .*bad.tflite: ValueError"):
        interpreter.run_file(tmp_path / "bad.tflite", {"x": np.zeros((1, 64), "float32")})


def test_nan_is_far_from_every_number():
    assert checks.compare([np.array([np.nan])], [np.array([1.0])]).relative == np.inf
    assert tflite.QUANTIZED == ("float16", "int8")
