import keras
import numpy as np
import pytest

import tf_pai
from tests.callbacks.models import data, mlp, same
from tf_pai.callbacks import callback_of
from tf_pai.training import RUNNERS, Job


def job(method, **changes):
    options = {"epochs": 2, "seed": 3, "options": {"update_every": 2}, "verbose": 0, **changes}
    return Job(lambda: mlp(sparsity=None), method, 0.7, data(), **options)


@pytest.mark.parametrize("method", ["rigl", "dns"])
def test_a_job_trains_to_its_sparsity(method):
    model = RUNNERS.find("dynamic")(job(method))
    assert round(tf_pai.sparsity(model), 1) == 0.7 and tf_pai.verify(model)


def test_random_masks_are_divided_as_asked():
    model = RUNNERS.find("dynamic")(job("set", options={"update_every": 2, "distribution": "uniform"}))
    densities = [mask.mean() for mask in tf_pai.get_masks(model).values()]
    np.testing.assert_allclose(densities, 0.3, atol=0.03)


@pytest.mark.parametrize("method", ["rigl", "dsr"])
def test_a_killed_job_goes_on(method, tmp_path):
    expected = RUNNERS.find("dynamic")(job(method, epochs=3))

    def kill(epoch, logs=None):
        if epoch == 1:
            raise KeyboardInterrupt

    killing = lambda stage: [keras.callbacks.LambdaCallback(on_epoch_end=kill)]  # noqa: E731
    with pytest.raises(KeyboardInterrupt):
        RUNNERS.find("dynamic")(job(method, epochs=3, folder=tmp_path, callbacks=killing))
    model = RUNNERS.find("dynamic")(job(method, epochs=3, folder=tmp_path))
    assert same(tf_pai.get_masks(model), tf_pai.get_masks(expected))
    killed, whole = (list(tf_pai.report(m).sections.values()) for m in (model, expected))
    assert [[list(row.values()) for row in table] for table in killed] == [
        [list(row.values()) for row in table] for table in whole
    ]


def test_options_are_those_of_the_callback():
    assert callback_of("rigl", 0.9, 0, {"train_on_update": False, "decay": "linear"}).decay == "linear"
    assert callback_of("granet", 0.9, 0, {"initial_sparsity": 0.2}).sparsity == 0.9
    with pytest.raises(
        ValueError, match=r"Unknown option of 'rigl'. Received: update_evry=3. Did you mean 'update_every'"
    ):
        callback_of("rigl", 0.9, 0, {"update_evry": 3})
    with pytest.raises(ValueError, match=r"Unknown option of 'deepr'. Received: momentum=3."):
        callback_of("deepr", 0.9, 0, {"momentum": 3})


def test_sparse_compute_is_refused_where_pruned_weights_are_needed():
    with pytest.raises(ValueError, match=r"SNFS moves masks of a model that has .* too. Received: compute='sparse'"):
        RUNNERS.find("dynamic")(job("snfs", options={"compute": "sparse"}))
    with pytest.raises(ValueError, match=r"compute is one of 'masked', .* Received: compute='sprse'"):
        RUNNERS.find("dynamic")(job("rigl", options={"compute": "sprse"}))
