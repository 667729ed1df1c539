"""Eq. 2 as code: Table 1, every method as a recipe, and running methods of each kind from end to end."""

import json

import numpy as np
import pytest

import tf_pai
from tests.training.models import small_data, small_model, state_of
from tf_pai.formulation import PARADIGMS, Recipe, paradigm_of, recipe_of


def plain_model():
    return small_model(metrics=["accuracy"], pruned=False)


def run(method, sparsity, **options):
    data = small_data(64)
    arguments = {"data": data, "validation_data": data, "epochs": 2, "seed": 3, "batch_size": 16}
    return tf_pai.run(plain_model, method, sparsity, **{**arguments, **options})


def test_table_1():
    """The survey's section 2.1, line by line."""
    assert (tf_pai.TRADITIONAL.k1, tf_pai.TRADITIONAL.k2) == ("K", "K")
    training = tf_pai.SPARSE_TRAINING
    assert (training.k1, training.k2, training.f2, training.f3 != "I") == ("0 or K", "0", "I", True)
    selection = tf_pai.SPARSE_SELECTION
    assert (selection.k1, selection.k2, selection.f2, selection.f3) == ("0", "0", "I", "I")


def test_rows_of_table_1_belong_where_the_survey_puts_them():
    lth, snip = (Recipe(k1, "f1", "0", "I", "train") for k1 in ("K", "0"))
    hidden = Recipe("0", "edge-popup", "0", "I", "I")
    belongs = [[r.belongs_to(p) for p in PARADIGMS.values()] for r in (lth, snip, hidden)]
    assert belongs == [[False, True, False], [False, True, False], [False, False, True]]


@pytest.mark.parametrize("info", tf_pai.list_methods(), ids=lambda info: info.name)
def test_every_method_prints_as_one_recipe(info):
    text = str(recipe_of(info))
    assert text.startswith("w* = ") and f"w_{info.k1}" in text and f"w_{info.k2}" in text
    expected = {"static": "sparse training", "tickets": "sparse training", "selection": "sparse selection"}
    assert paradigm_of(info) == expected.get(info.track, paradigm_of(info))


def test_a_weight_transform_is_f2():
    assert "(w_0; D) * I" not in str(recipe_of("ai")) and recipe_of("ai").f2 != "I"
    assert paradigm_of("ai") == "sparse training"


@pytest.mark.parametrize("method", ["synflow", "snip", "rigl", "magnitude_after_training"])
def test_run_gives_model_metrics_and_report(method):
    result = run(method, 0.75)
    assert round(tf_pai.sparsity(result.model), 2) == 0.75 == round(result.metrics["sparsity"], 2)
    assert 0.5 < result.metrics["accuracy"] <= 1
    assert result.report.metrics == result.metrics and len(result.report.history["loss"]) == 2
    assert tf_pai.verify(result.model)


def test_dense_keeps_every_weight():
    assert run("dense", 0).metrics["sparsity"] == 0
    with pytest.raises(ValueError, match=r"'dense' keeps every weight. Received: sparsity=0.5. Pass 0."):
        run("dense", 0.5)


def test_options_reach_the_method():
    result = run("random", 0.5, options={"distribution": "uniform"})
    assert {row.got for row in result.report.rows} == {0.5}
    with pytest.raises(TypeError, match="ditribution"):
        run("random", 0.5, options={"ditribution": "uniform"})


def test_same_seed_same_result():
    first, again = run("snip", 0.5), run("snip", 0.5)
    assert state_of(first.model) == state_of(again.model)


def test_finished_run_is_not_run_again(tmp_path):
    first = run("snip", 0.75, run_dir=tmp_path)
    again = run("snip", 0.75, run_dir=tmp_path, data=lambda epoch: pytest.fail("trained"))
    assert (again.metrics, again.report.to_dict()) == (first.metrics, first.report.to_dict())
    assert [w.tobytes() for w in again.model.get_weights()] == [w.tobytes() for w in first.model.get_weights()]


def test_a_seed_that_was_drawn_is_remembered(tmp_path):
    class Stop(Exception):
        pass

    def stop(stage):
        raise Stop

    with pytest.raises(Stop):
        run("random", 0.5, seed=None, run_dir=tmp_path, callbacks=stop)
    drawn = json.loads((tmp_path / "run.json").read_text())["drawn seed"]
    result = run("random", 0.5, seed=None, run_dir=tmp_path)
    assert state_of(result.model) == state_of(run("random", 0.5, seed=drawn).model)


def test_another_run_in_the_same_folder_is_refused(tmp_path):
    run("random", 0.5, run_dir=tmp_path, epochs=1)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(ValueError, match=r"belongs to one run. Received: sparsity=0.6, but .* sparsity=0.5"):
        run("random", 0.6, run_dir=tmp_path, epochs=1)
    assert before == {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("error", "text", "arguments"),
    [
        (ValueError, r"Unknown method. Received: 'snipp'. Did you mean 'snip'\?", {"method": "snipp"}),
        (TypeError, "run takes the name of a method", {"method": 3}),
        (ValueError, r"A sparsity is in \[0, 1\). Received: sparsity=1.0", {"sparsity": 1.0}),
        (ValueError, r"A sparsity is in \[0, 1\). Received: sparsity=True", {"sparsity": True}),
    ],
)
def test_wrong_arguments(error, text, arguments, tmp_path):
    with pytest.raises(error, match=text):
        run(**{"method": "snip", "sparsity": 0.5, "run_dir": tmp_path / "new", **arguments})
    assert not (tmp_path / "new").exists()


def test_model_fn_gives_a_compiled_model():
    data = np.ones((4, 6)), np.ones(4)
    with pytest.raises(TypeError, match=r"model_fn returns a Keras 3 model. Received: int"):
        tf_pai.run(lambda: 3, "snip", 0.5, data=data, epochs=1)
    with pytest.raises(ValueError, match=r"model_fn returns a compiled model"):
        tf_pai.run(lambda: plain_model().__class__([]), "snip", 0.5, data=data, epochs=1)
