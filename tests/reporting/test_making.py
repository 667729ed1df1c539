"""What a report says about a model."""

import keras
import numpy as np
import pytest

import tf_pai
from tf_pai.testing.families import FAMILIES

L = keras.layers


def test_asked_and_got_per_weight(pruned):
    report = tf_pai.report(pruned)
    masks = tf_pai.get_masks(pruned)
    assert [row.path for row in report.rows] == ["fc1/kernel", "fc2/kernel"]
    assert [row.shape for row in report.rows] == [(6, 8), (8, 3)]
    assert [row.kept for row in report.rows] == [int(mask.sum()) for mask in masks.values()]
    assert [row.asked for row in report.rows] == [0.5, 0.5]
    assert [row.got for row in report.rows] == [1 - mask.mean() for mask in masks.values()]
    assert (report.method, report.asked, report.sparsity) == ("snip", 0.5, 0.5)
    assert (report.kept, report.total, report.parameters) == (36, 72, 72 + 11)
    assert report.choices["seed"] == 7
    assert sum(report.histogram["kept"]) + sum(report.histogram["pruned"]) <= 72


def test_flops_and_bytes(pruned):
    report = tf_pai.report(pruned)
    assert report.flops_dense == 2 * 72 + 11 == sum(row.flops_dense for row in report.rows)
    assert report.flops_sparse == 2 * 36 + 11 == sum(row.flops_sparse for row in report.rows)
    assert (report.bytes_dense, report.bytes_sparse) == (83 * 4, (36 + 11) * 4 + 72 / 8)


def test_an_unpruned_model_has_a_report(plain_model):
    report = tf_pai.report(plain_model)
    assert not report.is_pruned and report.method is None and report.warnings == []
    assert report.flops_sparse == report.flops_dense and report.bytes_sparse == report.bytes_dense
    assert all(row.asked is row.got is None and row.kept == row.total for row in report.rows)
    assert "not pruned" in str(report)


def test_a_model_without_weights_has_a_report():
    report = tf_pai.report(keras.Sequential([keras.Input((4, 4, 1)), L.Flatten()]))
    assert report.rows == [] and report.flops_dense == 0
    assert "total" in str(report) and report.plot().axes == [] and "<h1>" in report.to_html()


def test_masks_set_by_hand_have_nothing_asked(plain_model):
    model = tf_pai.set_masks(plain_model, {"fc2/kernel": np.eye(8, 3)})
    report = tf_pai.report(model)
    assert [row.asked for row in report.rows] == [None, None]
    assert [row.got for row in report.rows] == [None, 1 - 3 / 24]
    assert report.sparsity == 1 - 3 / 24


def test_an_emptied_layer_and_dead_units_are_named(plain_model):
    mask = np.zeros((8, 3), bool)
    mask[0] = True
    report = tf_pai.report(tf_pai.set_masks(plain_model, {"fc2/kernel": mask}))
    assert report.warnings == ["Dead units (on no path of kept weights from input to output): 7 of 8 in fc1."]
    assert [row.dead for row in report.rows] == [7, 0]
    emptied = tf_pai.report(tf_pai.set_masks(plain_model, {"fc2/kernel": np.zeros((8, 3))}))
    assert emptied.warnings[0] == "Emptied, so that no signal passes: fc2/kernel."
    assert emptied.warnings[1] == "No path of kept weights leads from an input to an output."


def test_many_warnings_are_cut_short():
    model = keras.Sequential([keras.Input((2,)), *(L.Dense(2, name=f"fc{i}") for i in range(8))])
    model = tf_pai.set_masks(model, {f"fc{i}/kernel": np.zeros((2, 2)) for i in range(8)})
    assert "fc4/kernel, and 3 more." in tf_pai.report(model).warnings[0]


def test_pruned_biases_are_no_rows():
    model = keras.Sequential([keras.Input((6,)), L.Dense(8, name="fc1"), L.Dense(3, name="fc2")])
    model = tf_pai.prune_at_init(model, "magnitude", 0.5, structure="filter")
    report = tf_pai.report(model)
    assert [row.path for row in report.rows] == ["fc1/kernel", "fc2/kernel"]
    assert report.sparsity == pytest.approx(0.5)


@pytest.mark.parametrize("name", list(FAMILIES))
def test_every_family_of_models_has_a_report(name):
    model = FAMILIES.find(name).build()
    model = tf_pai.prune_at_init(model, "random", 0.6, distribution="uniform", seed=0)
    report = tf_pai.report(model)
    assert report.kept == sum(int(mask.sum()) for mask in tf_pai.get_masks(model).values())
    assert {row.path for row in report.rows} == set(tf_pai.get_masks(model))
    assert 0 < report.flops_sparse <= report.flops_dense
    assert not [note for note in report.notes if "could not be traced" in note]
    assert max(map(len, str(report).splitlines())) <= 80
