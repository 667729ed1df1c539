"""What an export takes as inputs: structures of them, representative ones, and models that are no function of them."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tf_pai
from tests.export.models import outputs, perceptron, pruned
from tf_pai.export.interpreter import run_file

EXPORTS = [tf_pai.export_saved_model, tf_pai.export_tflite]
L = keras.layers
X = np.random.default_rng(0).standard_normal((40, 64)).astype("float32")


def int8(representative, folder, model=None):
    return tf_pai.export_tflite(model or pruned(perceptron(), 0.9), folder / "out", "int8", representative)


@pytest.mark.parametrize("dtype", ["float64", "uint8"])
def test_representative_examples_take_the_types_of_the_inputs(dtype, tmp_path):
    assert int8((10 * X).astype(dtype), tmp_path).agreement > 0.9


def test_many_representative_examples_are_not_all_the_test_batch(tmp_path, monkeypatch):
    sizes, model = [], pruned(perceptron(), 0.9)
    monkeypatch.setattr("tf_pai.export.tflite.predictions", lambda m, x: [sizes.append(len(x)), np.asarray(m(x))][1:])
    int8(np.tile(X, (10, 1)), tmp_path, model)
    assert sizes == [256]


@pytest.mark.parametrize(
    "representative, received",
    [
        (lambda: iter([[X[:1]]]), "function of 1 arrays: object"),
        ("data", "str of 1 arrays: <U4"),
        (X[:, :3], r"ndarray of 1 arrays: float32 \(40, 3\)"),
        ((X, X[:, 0]), r"tuple of 2 arrays: float32 \(40, 64\), float32 \(40,\)"),
        (X * np.nan, r"ndarray of 1 arrays: float32 \(40, 64\)"),
        (tf.data.Dataset.from_tensor_slices(X), r"ndarray of 1 arrays: float32 \(64,\). Pass inputs in batches"),
    ],
)
def test_wrong_representative_examples(representative, received, tmp_path):
    takes = r"the shapes that the model takes: float32 \(None, 64\). Received: "
    with pytest.raises(ValueError, match=takes + received):
        int8(representative, tmp_path)
    assert not list(tmp_path.iterdir())


class Joining(keras.Model):
    """A subclassed model of two inputs and two outputs."""

    def __init__(self):
        super().__init__()
        self.hidden, self.fc = L.Dense(64), L.Dense(4)

    def call(self, inputs):
        hidden = self.hidden(inputs["one"])
        return {"sum": self.fc(hidden + inputs["another"]), "hidden": hidden}


def test_a_subclassed_model_of_several_inputs(tmp_path):
    model, x = Joining(), {"one": X[:, :32], "another": X}
    model(x)
    model = pruned(model)
    tf_pai.export_saved_model(model, tmp_path / "saved")
    tf_pai.export_tflite(model, tmp_path / "lite")
    loaded = tf.saved_model.load(str(tmp_path / "saved"))
    served, expected = loaded.serve(x), model(x)
    for name in expected:
        np.testing.assert_array_equal(served[name], expected[name])
    made = run_file(tmp_path / "lite", {"input_0": x["another"], "input_1": x["one"]})  # in the order of the names
    np.testing.assert_allclose(made["output_1"], expected["sum"], rtol=0, atol=1e-5 * np.abs(expected["sum"]).max())


class Ids(keras.Model):
    """Which of the inputs are ids, its build does not tell."""

    def __init__(self):
        super().__init__()
        self.words, self.fc = L.Embedding(9, 64), L.Dense(4)

    def call(self, inputs):
        return self.fc(self.words(inputs[0]) + inputs[1])


@pytest.mark.parametrize("export", EXPORTS)
def test_models_that_are_no_function_of_known_inputs(export, tmp_path):
    model = Ids()
    model([np.zeros(2, "int32"), X[:2]])
    with pytest.raises(ValueError, match="An export has inputs of known shapes and types. Received: Ids"):
        export(pruned(model), tmp_path / "out")
    stack = [keras.Input(batch_shape=(4, 3, 8)), L.LSTM(16, stateful=True, name="memory"), L.Dense(2)]
    with pytest.raises(ValueError, match="the same outputs each time. Received: .*stateful layer 'memory'. Build it"):
        export(pruned(keras.Sequential(stack)), tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_names_that_tensorflow_does_not_take(tmp_path):
    inputs = [keras.Input((32,), name=name) for name in ("_one", "größe 2")]
    model = pruned(keras.Model(inputs, L.Dense(4)(L.Dense(64)(L.Concatenate()(inputs)))))
    tf_pai.export_saved_model(model, tmp_path / "ein größeres Modell")
    tf_pai.export_tflite(model, tmp_path / "größe 2.tflite")
    loaded = tf.saved_model.load(str(tmp_path / "ein größeres Modell"))
    x = [X[:, :32], X[:, 32:]]
    np.testing.assert_array_equal(loaded.serve(x), outputs(model, x))
