"""How `tf_pai.run` runs a method of the track."""

import numpy as np

import tf_pai
from tests.selection.test_select import batch, compiled, dense_net
from tf_pai.layers import weights_of
from tf_pai.training import RUNNERS, Job


def test_a_job_selects_and_trains_scores_only():
    job = Job(lambda: compiled(dense_net()), "hidden", 0.75, batch(), epochs=1, seed=1, options={"weights": "own"})
    model = RUNNERS.find("selection")(job)
    assert tf_pai.sparsity(model) == 0.75
    assert int(model.optimizer.iterations) == 2
    own = weights_of(job.model())
    assert all(np.allclose(v.numpy(), 2 * own[path].numpy()) for path, v in weights_of(model).items())


def test_methods_of_the_track():
    infos = tf_pai.list_methods("selection")
    assert [info.name for info in infos] == ["deconstruct", "hidden", "logarithmic", "multi_prize", "proving", "supsup"]
    assert {(info.k1, info.k2) for info in infos} == {("0", "0")}
