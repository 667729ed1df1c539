"""The speed experiment: every form computes, ratios are of the rounds, the plot has its break-even."""

import numpy as np
import pytest
import tensorflow as tf

from experiments import speed
from experiments.speed_plot import break_even, plot
from experiments.timing import median_interval
from tests.kernels.conftest import built  # noqa: F401


def test_every_form_computes_the_same(built):  # noqa: F811
    models = speed.forms_of(speed.Speed(sparsities=(0.5,)), "8-6")
    assert list(models) == ["dense", "xla", "masked", "sparse 0.5", "tf.sparse 0.5"]
    x = np.random.default_rng(0).standard_normal((4, 784)).astype("float32")
    one, other = models["sparse 0.5"], models["tf.sparse 0.5"]
    other.set_weights(one.get_weights())
    np.testing.assert_allclose(one(x), other(x), atol=1e-5)
    y = tf.constant([0, 1, 2, 3])
    assert np.isfinite(speed._step(one, False, tf.constant(x), y)())


def test_runs_of_one_file_add_up(tmp_path):
    rows = [{"network": "a", "form": form, "step": 1.0} for form in ("dense", "sparse 0.9")]
    assert speed.merged(tmp_path / "speed.json", rows) == rows
    speed.write(tmp_path / "speed", rows)
    newer = [{"network": "a", "form": "sparse 0.9", "step": 0.5}, {"network": "b", "form": "dense", "step": 2.0}]
    assert speed.merged(tmp_path / "speed.json", newer) == [rows[0], *newer]


def test_interval_and_break_even():
    assert median_interval([1.0, 2.0, 3.0])[0] == 2.0
    low, high = median_interval([0.4, 0.5, 0.6] * 5)[1:]
    assert 0.4 <= low <= 0.5 <= high <= 0.6
    assert break_even(np.array([0.5, 0.75]), np.array([1.5, 0.5])) == pytest.approx(0.625)
    assert break_even(np.array([0.5, 0.75]), np.array([1.5, 1.1])) is None


def test_plot(tmp_path):
    rows = [
        {"network": "a", "form": "dense", "sparsity": 0.0, "step": "1 ms"},
        {"network": "a", "form": "sparse 0.5", "sparsity": 0.5, "step": 1.2},
        {"network": "a", "form": "sparse 0.9", "sparsity": 0.9, "step": 0.4},
    ]
    plot(rows, tmp_path / "speed.png")
    assert (tmp_path / "speed.png").stat().st_size > 1000
