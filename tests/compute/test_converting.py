"""Masked -> sparse -> masked; files, copies, other processes; what stays masked and why."""

import os
import subprocess
import sys
import warnings

import keras
import numpy as np
import pytest

import tf_pai
from tests.compute.models import LOSS, data, difference, masked_and_sparse, network, pruned
from tf_pai.compute import timing
from tf_pai.compute.qualifying import why_not

L = keras.layers


def kinds(model):
    return [type(layer).__name__ for layer in model.layers if layer.trainable_variables]


def adam():
    return keras.optimizers.Adam(1e-3)


def test_there_and_back_changes_nothing():
    x, _ = data()
    masked, sparse = masked_and_sparse(adam, metrics=["accuracy"])
    back = tf_pai.to_dense(sparse)
    assert kinds(masked) == kinds(back) and "SparseDense" in kinds(sparse)
    assert tf_pai.sparsity(masked) == tf_pai.sparsity(sparse) == tf_pai.sparsity(back)
    for form in ("bool", "coo"):
        masks = tf_pai.get_masks(masked, form=form)
        for model in (sparse, back):
            again = tf_pai.get_masks(model, form=form)
            assert list(again) == list(masks) and all(np.array_equal(again[path], masks[path]) for path in masks)
    np.testing.assert_allclose(sparse.predict(x, verbose=0), masked.predict(x, verbose=0), atol=1e-5)
    assert difference(masked, back) == 0
    assert not any(type(layer).__module__.startswith("tf_pai") for layer in tf_pai.strip(sparse).layers)


def test_the_optimizer_goes_on_where_it_was():
    x, y = data()
    masked, _ = masked_and_sparse(adam)
    masked.fit(x, y, batch_size=16, shuffle=False, verbose=0)
    sparse = tf_pai.to_sparse(masked)
    back = tf_pai.to_dense(tf_pai.to_sparse(masked))
    assert int(sparse.optimizer.iterations) == int(back.optimizer.iterations) == 4
    for model in (masked, sparse, back):
        model.fit(x, y, batch_size=16, shuffle=False, verbose=0)
    assert difference(masked, back) < 1e-6 and difference(masked, sparse) < 1e-5


def test_a_saved_model_trains_on_bit_by_bit(tmp_path):
    x, y = data()
    _, sparse = masked_and_sparse(adam)
    sparse.fit(x, y, batch_size=16, shuffle=False, verbose=0)
    sparse.save(tmp_path / "sparse.keras")
    loaded = keras.models.load_model(tmp_path / "sparse.keras")
    for model in (sparse, loaded):
        model.fit(x, y, batch_size=16, shuffle=False, verbose=0)
    assert all(np.array_equal(a, b) for a, b in zip(sparse.get_weights(), loaded.get_weights(), strict=True))
    sparse.save_weights(tmp_path / "sparse.weights.h5")
    other = tf_pai.to_sparse(pruned(seed=5))  # other places, as many of them
    other.load_weights(tmp_path / "sparse.weights.h5")
    np.testing.assert_array_equal(other.predict(x, verbose=0), sparse.predict(x, verbose=0))


def test_clones_and_checkpoints(tmp_path):
    import tensorflow as tf

    x, _ = data()
    _, sparse = masked_and_sparse(adam)
    expected = sparse.predict(x, verbose=0)
    clone = keras.models.clone_model(sparse)
    assert [weight.shape for weight in clone.weights] == [weight.shape for weight in sparse.weights]
    clone.set_weights(sparse.get_weights())
    np.testing.assert_array_equal(clone.predict(x, verbose=0), expected)
    saved = tf.train.Checkpoint(model=sparse).save(str(tmp_path / "checkpoint"))
    other = keras.models.clone_model(sparse)
    tf.train.Checkpoint(model=other).restore(saved).expect_partial()
    np.testing.assert_array_equal(other.predict(x, verbose=0), expected)


def test_masks_files_fit_both_forms(tmp_path):
    masked, sparse = masked_and_sparse(adam)
    tf_pai.save_masks(sparse, tmp_path / "masks.npz")
    tf_pai.save_masks(masked, tmp_path / "masked.npz")
    masks = tf_pai.get_masks(masked)
    for file in ("masks.npz", "masked.npz"):
        for model in (network(), pruned(seed=7), tf_pai.to_sparse(pruned(seed=7))):
            got = tf_pai.get_masks(tf_pai.load_masks(model, tmp_path / file))
            assert all(np.array_equal(got[path], mask) for path, mask in masks.items())


def test_set_masks_keeps_values_and_slots_of_weights_that_stay():
    """Positions 0 3 | 1 3: the weight at 3 stays, with its moment; that at 1 is new."""
    layer = tf_pai.layers.SparseDense(2, density=0.5, use_bias=False, name="fc")
    model = keras.Sequential([keras.Input((2,)), layer])
    model.compile(keras.optimizers.SGD(0.1, momentum=0.9), "mse")
    model.optimizer.build(model.trainable_variables)
    layer.set_positions([0, 3], [1.0, 2.0])
    model.optimizer.momentums[0].assign([5.0, 6.0])
    model.optimizer.iterations.assign(7)
    larger = tf_pai.set_masks(model, {"fc/kernel": [[0, 1], [1, 0], [1, 1]]})
    assert larger is not model and larger.layers[0].kernel.numpy().tolist() == [0, 0, 2]
    assert larger.optimizer.momentums[0].numpy().tolist() == [0, 0, 6] and int(larger.optimizer.iterations) == 7
    moved = tf_pai.set_masks(model, {"fc/kernel": np.array([[False, True], [False, True]])})
    assert moved is model and layer.kernel.numpy().tolist() == [0, 2]
    assert model.optimizer.momentums[0].numpy().tolist() == [0, 6]
    with pytest.raises(ValueError, match="keeps one weight at least. Received: none for 'fc/kernel'"):
        tf_pai.set_masks(model, {"fc/kernel": np.zeros((2, 2))})
    with pytest.raises(ValueError, match="Coordinates lie inside"):
        tf_pai.set_masks(model, {"fc/kernel": np.array([[0, 2], [1, 1], [0, 0]])})


@keras.saving.register_keras_serializable("tests")
class TwoLayers(keras.Model):
    """A subclassed model."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.first, self.rest = L.Dense(8, "relu"), [L.Dense(4), L.Dense(3)]

    def call(self, x):
        x = self.first(x)
        for layer in self.rest:
            x = layer(x)
        return x


def test_subclassed_models_are_converted_in_place_and_saved(tmp_path):
    x = np.random.default_rng(0).standard_normal((8, 6)).astype("float32")
    model = TwoLayers()
    model(x)
    expected_paths = list(tf_pai.get_masks(pruned(model)))
    expected = model.predict(x, verbose=0)
    sparse = tf_pai.to_sparse(model)
    assert sparse is model and list(tf_pai.get_masks(model)) == expected_paths
    np.testing.assert_allclose(model.predict(x, verbose=0), expected, atol=1e-6)
    model.compile("sgd", "mse")
    model.fit(x, expected, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded.predict(x, verbose=0), model.predict(x, verbose=0))
    plain = tf_pai.strip(model)
    assert type(plain) is TwoLayers and type(plain.first) is L.Dense


def test_nested_models_and_shared_layers():
    inner = keras.Sequential([keras.Input((6,)), L.Dense(6, "relu", name="a"), L.Dense(6, name="b")], name="inner")
    shared, inputs = L.Dense(6, name="shared"), keras.Input((6,))
    model = keras.Model(inputs, L.Dense(2, name="head")(shared(inner(shared(inputs)))))
    masked = pruned(model)
    sparse = tf_pai.to_sparse(masked)
    x = np.random.default_rng(0).standard_normal((8, 6)).astype("float32")
    np.testing.assert_allclose(sparse(x), masked(x), atol=1e-6)
    assert list(tf_pai.get_masks(sparse)) == list(tf_pai.get_masks(masked))


STAY_MASKED = {
    "there is no sparse form of Conv1D": lambda: L.Conv1D(4, 3),
    "it has groups, dilation or channels first": lambda: L.Conv2D(4, 3, groups=2),
    "its equation is no matrix product": lambda: L.EinsumDense("abcd,bde->abce", (6, 6, 3)),
    "its constraint needs the whole kernel": lambda: L.Dense(4, kernel_constraint=keras.constraints.MaxNorm(1.0)),
    "its initializer needs the whole kernel": lambda: L.Dense(4, kernel_initializer="orthogonal"),
    "its regularizer needs the whole kernel": lambda: L.Dense(4, kernel_regularizer="orthogonal_regularizer"),
    "its weights are float64": lambda: L.Dense(4, dtype="float64"),
}


@pytest.mark.parametrize("reason", STAY_MASKED)
def test_layers_that_do_not_qualify_stay_masked(reason):
    layer = tf_pai.PrunableLayer(STAY_MASKED[reason]())
    layer.build((None, 6, 4) if "Conv1D" in reason else (None, 6, 6, 4))
    assert why_not(layer) == reason
    assert why_not(L.Dense(3)) == "it has no mask, or one that is being learned or updated"


def test_filters_stay_masked_for_their_biases():
    model = pruned(structure="filter", exclude="fc", sparsity=0.3, compute="sparse")
    assert why_not(model.layers[0]) == "its bias has a mask too" and tf_pai.verify(model)


def test_the_report_says_which_layer_computes_how(monkeypatch):
    monkeypatch.setattr("tf_pai.compute.converting.step_ratio", lambda layer: 1.5 if layer.name == "fc" else 0.5)
    model = pruned(compute="auto")
    assert [type(model.get_layer(name)).__name__ for name in ("conv", "fc")] == ["SparseConv2D", "PrunableLayer"]
    report = tf_pai.report(model)
    rows = {row["layer"]: row for row in report.sections["compute"]}
    assert rows["fc"] == {"layer": "fc", "compute": "masked", "step / dense": 1.5, "why": "dense is faster"}
    assert rows["conv"] == {"layer": "conv", "compute": "sparse", "step / dense": 0.5, "why": None}
    assert [row.path for row in report.rows if not row.is_sparse] == ["fc/kernel"]
    assert "zeros in dense arrays, as slow as the dense model: 1" in " ".join(str(report).split())


def test_a_shape_is_timed_once(monkeypatch):
    monkeypatch.setattr(timing, "_known", {})
    timed = []
    monkeypatch.setattr(timing, "_ratio", lambda *steps: timed.append([step() for step in steps]) or 0.5)
    shape, layers = (16, 16), {}
    for name, keep in {"a": 0.5, "b": 0.5, "c": 0.25}.items():
        layers[name] = tf_pai.PrunableLayer(L.Dense(16, name=name))
        layers[name].build((None, 16))
        mask = np.zeros(shape)
        mask.flat[: int(keep * mask.size)] = 1
        layers[name].set_masks({"kernel": mask})
    assert [timing.step_ratio(layer) for layer in layers.values()] == [0.5] * 3 and len(timed) == 2
    assert timing.step_ratio(layers["a"]) == 0.5


def test_errors():
    with pytest.raises(ValueError, match="to_sparse takes a pruned model"):
        tf_pai.to_sparse(network())
    with pytest.raises(ValueError, match="Received: compute='sparce'"):
        pruned(compute="sparce")
    with pytest.raises(ValueError, match="Received: compute='masked'"):
        tf_pai.to_sparse(pruned(), "masked")


WITHOUT_COMPILER = """
import sys, warnings
import keras, numpy as np
import tf_pai
with warnings.catch_warnings(record=True) as seen:
    warnings.simplefilter("always")
    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(4, "relu"), keras.layers.Dense(2)])
    for _ in range(2):
        pruned = tf_pai.prune_at_init(model, "random", 0.5, seed=0, compute="sparse", verbose=0)
    pruned.compile("sgd", "mse")
    pruned.fit(np.ones((4, 6)), np.ones((4, 2)), verbose=0)
    loaded = keras.models.load_model(sys.argv[1])
    outputs = loaded.predict(np.load(sys.argv[2]), verbose=0)
    loaded.compile("sgd", "mse")
    loaded.evaluate(np.load(sys.argv[2]), outputs, verbose=0)
np.save(sys.argv[3], outputs)
print(type(pruned.layers[0]).__name__, type(loaded.layers[0]).__name__)
print(sum("falls back to masked dense compute" in str(one.message) for one in seen))
"""


def test_without_a_compiler_masks_are_used_with_one_warning(tmp_path):
    """A fresh process: what needs the kernels is masked, and a sparse model from elsewhere still computes the same."""
    x, _ = data()
    _, sparse = masked_and_sparse(adam)
    sparse.save(tmp_path / "sparse.keras")
    np.save(tmp_path / "x.npy", x)
    files = [str(tmp_path / name) for name in ("sparse.keras", "x.npy", "y.npy")]
    env = {**os.environ, "CXX": str(tmp_path / "no-compiler"), "TF_PAI_CACHE": str(tmp_path / "cache")}
    command = [sys.executable, "-c", WITHOUT_COMPILER, *files]
    done = subprocess.run(command, capture_output=True, text=True, env=env, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-2:] == ["PrunableLayer SparseConv2D", "1"]
    np.testing.assert_allclose(np.load(files[2]), sparse.predict(x, verbose=0), atol=1e-5)


def test_no_warning_where_there_are_kernels():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tf_pai.to_sparse(pruned())


def test_scoring_and_loss_of_a_sparse_head():
    """A dense layer beside sparse ones is still pruned, and the sparse ones stay what they are."""
    layer = tf_pai.layers.SparseDense(8, density=0.5, seed=0, name="sparse")
    model = keras.Sequential([keras.Input((6,)), layer, L.Dense(4, name="dense")])
    x = np.random.default_rng(0).standard_normal((8, 6)).astype("float32")
    both = tf_pai.prune_at_init(model, "snip", 0.5, data=(x, np.arange(8) % 4), loss=LOSS, seed=0)
    masks = tf_pai.get_masks(both)
    assert list(masks) == ["sparse/kernel", "dense/kernel"] and tf_pai.sparsity(both) == 0.5
    assert np.array_equal(np.flatnonzero(masks["sparse/kernel"]), layer.positions())
