"""Models and files in one table."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tf_pai
from tests.export.models import outputs, perceptron, pruned


def test_every_kind_of_model_has_the_same_accuracy(tmp_path, capsys):
    model = pruned(perceptron(units=256), 0.9)
    tf_pai.export_saved_model(model, tmp_path / "saved")
    tf_pai.export_tflite(model, tmp_path / "net.tflite")
    model.save(tmp_path / "net.keras")
    x = np.random.default_rng(0).standard_normal((300, 64)).astype("float32")
    y = outputs(model, x).argmax(axis=1)
    y[:30] = (y[:30] + 1) % 4  # 30 of 300 labels are wrong
    names = ("net.keras", "saved", "net.tflite")
    rows = tf_pai.benchmark({"model": model, **{name: tmp_path / name for name in names}}, (x, y))
    assert [row["name"] for row in rows] == ["model", *names]
    assert all(row["accuracy"] == 0.9 and row["seconds"] > 0 for row in rows)
    assert rows[0]["speedup"] == rows[0]["size"] == 1 and rows[3]["size"] < 0.5
    assert rows[3]["bytes"] == (tmp_path / "net.tflite").stat().st_size
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 80


def test_errors(tmp_path):
    with pytest.raises(ValueError, match="benchmark takes models by name. Received: {}"):
        tf_pai.benchmark({}, (np.ones((1, 2)), np.ones(1)))
    with pytest.raises(ValueError, match="benchmark takes a Keras model.*Received: 'nowhere' for 'a'"):
        tf_pai.benchmark({"a": "nowhere"}, (np.ones((1, 2)), np.ones(1)))
    x, y = np.ones((2, 64), "float32"), np.zeros(2)
    with pytest.raises(ValueError, match="benchmark counts right classes. Received: data without labels"):
        tf_pai.benchmark({"a": perceptron()}, (x, None))
    tf.saved_model.save(tf.Module(), str(tmp_path / "own"))
    with pytest.raises(ValueError, match="benchmark calls a SavedModel's `serve`.*for 'a', which has none"):
        tf_pai.benchmark({"a": tmp_path / "own"}, (x, y))
    (tmp_path / "two.tflite").touch()
    with pytest.raises(ValueError, match="takes several inputs by name. Received: list of arrays. Pass them as a dict"):
        tf_pai.benchmark({"a": tmp_path / "two.tflite"}, ([x, x], y))


def exported(model, folder):
    tf_pai.export_saved_model(model, folder / "saved")
    tf_pai.export_tflite(model, folder / "net.tflite")
    return {"model": model, "saved": folder / "saved", "lite": folder / "net.tflite"}


def accuracies(models, x, y):
    return [row["accuracy"] for row in tf_pai.benchmark(models, (x, y), verbose=0)]


X = np.random.default_rng(0).standard_normal((300, 64)).astype("float32")


@pytest.mark.parametrize("activation, threshold", [("sigmoid", 0.5), (None, 0)])
def test_one_output_is_a_choice_of_two(activation, threshold, tmp_path):
    stack = [keras.Input((64,)), keras.layers.Dense(64), keras.layers.Dense(1, activation=activation)]
    model = pruned(keras.Sequential(stack))
    y = (outputs(model, X) > threshold).astype(int)
    y[:30] = 1 - y[:30]
    assert accuracies(exported(model, tmp_path), X, y) == [0.9] * 3


@pytest.mark.parametrize("structure", [list, dict])
def test_several_inputs_and_outputs(structure, tmp_path):
    """The files call the inputs as the model does; the labels are those of the first output, or one per output."""
    a, b = keras.Input((64,), name="one"), keras.Input((64,), name="another")
    joined = keras.layers.Concatenate()([a, keras.layers.Dense(64)(b)])
    inputs = [a, b] if structure is list else {"another": b, "one": a}
    model = pruned(keras.Model(inputs, [keras.layers.Dense(3)(joined), keras.layers.Dense(5)(b)]))
    x = [X, X[::-1]] if structure is list else {"another": X[::-1], "one": X}
    y, z = (np.asarray(output).argmax(axis=-1) for output in model(x))
    files = exported(model, tmp_path)
    assert accuracies(files, x, y) == accuracies(files, x, [y, z]) == [1] * 3
    if structure is dict:
        assert accuracies({"lite": files["lite"]}, x, y) == [1]
