"""Models and files in one table."""

import numpy as np
import pytest

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
