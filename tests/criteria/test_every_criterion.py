"""What holds for every criterion: finite scores in every family, micro-batches, seeds, the model left alone."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tf_pai
from tests.criteria import models
from tf_pai import criteria
from tf_pai.criteria import making, memory
from tf_pai.layers import prunable_weights

CRITERIA = {
    "skeletonization": criteria.Skeletonization,
    "obd": lambda: criteria.OBD(probes=2),
    "taylor_fo": criteria.TaylorFO,
    "snip": criteria.SNIP,
    "grasp": criteria.GraSP,
    "synflow": criteria.SynFlow,
    "iter_snip": criteria.IterSNIP,
    "force": criteria.FORCE,
    "prospr": criteria.ProsPr,
    "prospr_first": lambda: criteria.ProsPr(order="first"),
    "ntk_sap": lambda: criteria.NTKSAP(examples=8),
    "phew": criteria.PHEW,
    "magnitude": criteria.Magnitude,
    "random": criteria.Random,
}
WITH_DATA = [name for name, make in CRITERIA.items() if make().needs_data]
CANNOT_WALK = ("transformer", "lstm")


@pytest.mark.parametrize(
    ("name", "family"),
    [(n, f) for n in CRITERIA for f in models.FAMILIES if n != "phew" or f not in CANNOT_WALK],
)
def test_scores_are_finite_and_the_model_is_left_alone(name, family):
    build, data = models.FAMILIES[family]
    model = build()
    before = [variable.numpy() for variable in model.variables]
    scores = tf_pai.score(model, CRITERIA[name](), data=data, seed=0)
    shapes = {path: weight.shape for path, weight in prunable_weights(model).items()}
    assert {path: score.shape for path, score in scores.items()} == shapes
    assert all(np.isfinite(score).all() for score in scores.values())
    assert any(np.ptp(score) > 0 for score in scores.values())
    assert all((a == b.numpy()).all() for a, b in zip(before, model.variables, strict=True))
    assert all(layer.momentum == 0.99 for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization))


@pytest.mark.parametrize("name", ["obd", "ntk_sap", "phew", "random"])
def test_the_seed_decides(name):
    build, data = models.FAMILIES["dense"]
    model = build()
    first, again, other = (tf_pai.score(model, CRITERIA[name](), data=data, seed=seed) for seed in (3, 3, 4))
    assert all((first[path] == again[path]).all() for path in first)
    assert any((first[path] != other[path]).any() for path in first)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("name", WITH_DATA)
def test_pieces_of_a_batch_give_the_score_of_the_whole(name, training, monkeypatch):
    build, data = models.FAMILIES["dense"]
    model = build()

    def scored(piece):
        criterion = CRITERIA[name]()
        criterion.training = training
        monkeypatch.setattr(making, "micro_batch", lambda *_: piece)
        return tf_pai.score(model, criterion, data=data, seed=0)

    whole, pieces = scored(None), scored(5)  # 12 examples: 5 + 5 + 2
    for path in whole:
        assert np.abs(whole[path] - pieces[path]).max() <= 2e-5 * np.abs(whole[path]).max()


@pytest.mark.parametrize("name", ["grasp", "prospr", "force"])
def test_batch_statistics_cannot_be_cut(name, monkeypatch):
    build, data = models.FAMILIES["norm_net"]
    monkeypatch.setattr(memory, "ALWAYS_FITS", 1)
    monkeypatch.setattr(memory.micro_batch, "__defaults__", (1,))
    with pytest.raises(ValueError, match="BatchNormalization in training mode needs the whole batch at once"):
        tf_pai.score(build(), name, data=data)


def test_without_batch_statistics_it_is_cut_down_to_single_examples(monkeypatch):
    build, data = models.FAMILIES["norm_net"]
    whole = tf_pai.score(build(), "snip", data=tf.data.Dataset.from_tensors(data))
    monkeypatch.setattr(memory, "ALWAYS_FITS", 1)
    monkeypatch.setattr(memory.micro_batch, "__defaults__", (1,))
    single = tf_pai.score(build(), "snip", data=data)
    for one, other in zip(single.values(), whole.values(), strict=True):
        assert np.abs(one - other).max() <= 1e-5 * np.abs(other).max()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: criteria.OBD("hutchison"), "Did you mean 'hutchinson'"),
        (lambda: criteria.OBD(probes=0), "at least one probe. Received: probes=0"),
        (lambda: criteria.ProsPr(steps=0), "at least one step. Received: steps=0"),
        (lambda: criteria.ProsPr(order="fist"), "Did you mean 'first'"),
        (lambda: criteria.NTKSAP(epsilon=0), "positive perturbation"),
        (lambda: criteria.GraSP(temperature=0), "A temperature is positive. Received: temperature=0"),
    ],
)
def test_wrong_options(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_what_a_criterion_is_called_in_reports():
    assert repr(criteria.OBD("exact")) == "OBD(exact Hessian)"
    assert repr(criteria.OBD(probes=5)) == "OBD(Hutchinson, 5 probes)"
    assert repr(criteria.FORCE()) == "FORCE"
