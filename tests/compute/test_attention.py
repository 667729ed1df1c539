"""Sparse projections of attention: Keras' results, files and copies, the way there and back."""

import keras
import numpy as np
import pytest

import tf_pai
from tests.compute.models import difference, pruned
from tf_pai.compute import timing
from tf_pai.compute.qualifying import why_not
from tf_pai.layers import PrunableLayer, SparseEinsumDense, SparseMultiHeadAttention
from tf_pai.layers.sparse_attention import projections

L = keras.layers
Attention = L.MultiHeadAttention


def block(causal=False, **options):
    """Attention over another sequence, with a residual, and a classifier."""
    keras.utils.set_random_seed(3)
    query, value = keras.Input((5, 6)), keras.Input((4, 7))
    attention = Attention(2, 3, name="attention", **options)
    x = L.Add()([query, attention(query, value, use_causal_mask=causal)])
    return keras.Model([query, value], L.Dense(3, name="fc")(L.Flatten()(x)))


def sequences(examples=64):
    rng = np.random.default_rng(0)
    inputs = [rng.standard_normal((examples, *shape)).astype("float32") for shape in ((5, 6), (4, 7))]
    return inputs, rng.integers(0, 3, examples)


def masked_and_sparse(model, **options):
    masked = pruned(model, **options)
    masked.compile(keras.optimizers.Adam(1e-2), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return masked, tf_pai.to_sparse(masked)


def kinds(model):
    return {name: type(part) for name, part in projections(model.get_layer("attention")).items()}


def test_trains_as_the_masked_layer_and_comes_back():
    x, y = sequences()
    masked, sparse = masked_and_sparse(block(value_dim=4, use_bias=False))  # the softmax hides the key's bias: noise
    assert type(sparse.get_layer("attention")) is SparseMultiHeadAttention
    assert set(kinds(sparse).values()) == {SparseEinsumDense} and len(kinds(sparse)) == 4
    masks = tf_pai.get_masks(masked)
    assert "attention/query/kernel" in masks and list(tf_pai.get_masks(sparse)) == list(masks)
    assert tf_pai.sparsity(masked) == tf_pai.sparsity(sparse)
    for model in (masked, sparse):
        model.fit(x, y, batch_size=16, epochs=10, shuffle=False, verbose=0)
    assert difference(masked, sparse) < 1e-4
    kernel = sparse.get_layer("attention").query_dense._kernel
    slots = [v for v in sparse.optimizer.variables if v.shape == kernel.shape]
    assert len(slots) >= 2 and len(kernel.shape) == 1
    back = tf_pai.to_dense(sparse)
    assert [w.path for w in back.trainable_weights] == [w.path for w in masked.trainable_weights]
    assert all(np.array_equal(mask, masks[path]) for path, mask in tf_pai.get_masks(back).items())
    for model in (masked, sparse, back):  # the optimizer goes on where it was
        model.fit(x, y, batch_size=16, shuffle=False, verbose=0)
    assert difference(masked, back) < 1e-4 and difference(sparse, back) < 1e-4
    assert type(tf_pai.strip(sparse).get_layer("attention")) is Attention


@pytest.mark.parametrize("options", [{"use_gate": True}, {"use_bias": False, "causal": True}, {"output_shape": 6}])
def test_every_kind_of_attention_predicts_the_same(options):
    x, _ = sequences(8)
    masked, sparse = masked_and_sparse(block(**options))
    assert set(kinds(sparse).values()) == {SparseEinsumDense} and ("gate" in kinds(sparse)) == ("use_gate" in options)
    np.testing.assert_allclose(sparse.predict(x, verbose=0), masked.predict(x, verbose=0), atol=1e-5)


def test_files_clones_and_projections_without_a_mask(tmp_path):
    x, y = sequences()
    _, sparse = masked_and_sparse(block(), exclude="attention/key")
    assert kinds(sparse)["key"] is L.EinsumDense and kinds(sparse)["value"] is SparseEinsumDense
    sparse.fit(x, y, batch_size=16, shuffle=False, verbose=0)
    sparse.save(tmp_path / "sparse.keras")
    loaded = keras.models.load_model(tmp_path / "sparse.keras")
    clone = keras.models.clone_model(sparse)
    clone.set_weights(sparse.get_weights())
    np.testing.assert_array_equal(clone.predict(x, verbose=0), sparse.predict(x, verbose=0))
    for model in (sparse, loaded):
        model.fit(x, y, batch_size=16, shuffle=False, verbose=0)
    assert all(np.array_equal(a, b) for a, b in zip(sparse.get_weights(), loaded.get_weights(), strict=True))
    back = tf_pai.to_dense(sparse)
    assert "attention/key/kernel" not in tf_pai.get_masks(back)


def test_set_masks_gives_projections_other_numbers_of_weights():
    x, _ = sequences(8)
    masked, sparse = masked_and_sparse(block())
    path = "attention/value/kernel"
    mask = tf_pai.get_masks(masked)[path]
    mask[0] = True
    larger = tf_pai.set_masks(sparse, {path: mask})
    assert larger is not sparse and np.array_equal(tf_pai.get_masks(larger)[path], mask)
    assert larger.get_layer("attention").densities["value"] == mask.mean()
    np.testing.assert_allclose(larger.predict(x, verbose=0), masked.predict(x, verbose=0), atol=1e-5)


def test_what_cannot_be_sparse_says_why():
    layer = pruned(block(kernel_constraint="max_norm")).get_layer("attention")
    assert why_not(layer) == "its constraint needs the whole kernel"
    emptied = pruned(block())
    empty = np.zeros_like(tf_pai.get_masks(emptied)["attention/query/kernel"])
    emptied = tf_pai.set_masks(emptied, {"attention/query/kernel": empty})
    assert why_not(emptied.get_layer("attention")) == "it keeps no weight"
    assert type(tf_pai.to_sparse(emptied).get_layer("attention")) is PrunableLayer


def test_auto_times_the_whole_layer(monkeypatch):
    monkeypatch.setattr(timing, "SECONDS", 0.05)
    layer = pruned(block()).get_layer("attention")
    assert timing._input_shapes(layer) == [(timing.BATCH, 5, 6), (timing.BATCH, 4, 7)]
    assert timing.step_ratio(layer) > 0


@keras.saving.register_keras_serializable("tests")
class Attending(keras.Model):
    """A subclassed model with attention."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.attention, self.fc = Attention(2, 3, dropout=0.1), L.Dense(3)

    def call(self, x, training=None):
        return self.fc(self.attention(x, x, training=training))


def test_subclassed_models(tmp_path):
    x = sequences(8)[0][0]
    model = Attending()
    model(x)
    sparse = tf_pai.to_sparse(pruned(model))
    assert type(sparse.attention) is SparseMultiHeadAttention
    sparse.compile("adam", "mse")
    sparse.fit(x, np.zeros((8, 5, 3)), verbose=0)
    sparse.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded.predict(x, verbose=0), sparse.predict(x, verbose=0))
    assert type(tf_pai.strip(sparse).attention) is Attention
