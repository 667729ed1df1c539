"""Models that other parts of the package made: exported as they are, or refused by name."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tf_pai
from tests.export.models import convnet, outputs, perceptron, pruned
from tf_pai.export.interpreter import run_file

L = keras.layers
X = np.random.default_rng(1).standard_normal((64, 64)).astype("float32")
Y = np.arange(64) % 4
LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def served(folder, x):
    loaded = tf.saved_model.load(str(folder / "saved"))
    return np.asarray(loaded.serve(x))


def trained(model, optimizer="sgd", callbacks=None):
    model.compile(optimizer, LOSS)
    model.fit(X, Y, batch_size=16, epochs=2, verbose=0, callbacks=callbacks)
    return model


def supermask():
    return trained(tf_pai.select_subnet(perceptron(units=128), "hidden", sparsity=0.8, seed=0))


def averaged():
    optimizer = keras.optimizers.SGD(0.01, momentum=0.9, use_ema=True, ema_momentum=0.9)
    return trained(pruned(perceptron(units=128), 0.9), optimizer)


def moved():
    callback = tf_pai.callbacks.RigL(update_every=2, end_step=8)
    return trained(pruned(perceptron(units=128), 0.9), callbacks=[callback])


def sparse():
    return trained(pruned(perceptron(units=128), 0.9, compute="sparse"))


@pytest.mark.parametrize("make", [supermask, averaged, moved, sparse])
def test_trained_models(make, tmp_path):
    model = make()
    before = [np.asarray(variable) for variable in model.variables]
    saved = tf_pai.export_saved_model(model, tmp_path / "saved")
    lite = tf_pai.export_tflite(model, tmp_path / "net.tflite")
    expected = outputs(model, X)
    scale = np.abs(expected).max()
    np.testing.assert_allclose(served(tmp_path, X), expected, rtol=0, atol=1e-5 * scale)
    np.testing.assert_allclose(
        run_file(tmp_path / "net.tflite", {"": X})["output_0"], expected, rtol=0, atol=1e-5 * scale
    )
    density = {tensor.name: round(tensor.density, 2) for tensor in saved.tensors}
    assert density["hidden/kernel"] == pytest.approx(0.2 if make is supermask else 0.1, abs=0.005)
    assert next(tensor for tensor in lite.tensors if tensor.shape == (128, 64)).encoding != "dense"
    assert all(np.array_equal(a, b) for a, b in zip(before, model.variables, strict=True))


def test_sparse_convolutions_and_fused_batch_norm(tmp_path):
    model = tf_pai.to_sparse(pruned(convnet(), 0.9))
    image = np.random.default_rng(1).standard_normal((3, 8, 8, 3)).astype("float32")
    tf_pai.export_saved_model(model, tmp_path / "saved")
    expected = outputs(model, image)
    np.testing.assert_allclose(served(tmp_path, image), expected, rtol=0, atol=1e-5 * np.abs(expected).max())


def test_sparse_layers_of_a_subclassed_model_are_refused(tmp_path):
    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.hidden, self.fc = L.Dense(128), L.Dense(4)

        def call(self, x):
            return self.fc(self.hidden(x))

    model = Own()
    model(X)
    model = tf_pai.to_sparse(pruned(model, 0.9))
    for export in (tf_pai.export_saved_model, tf_pai.export_tflite):
        with pytest.raises(ValueError, match="Received: the subclassed model .*Export tf_pai.to_dense"):
            export(model, tmp_path / "out")
    assert tf_pai.export_saved_model(tf_pai.to_dense(model), tmp_path / "out").max_difference == 0


def test_mixed_precision(tmp_path):
    def network():
        stack = [keras.Input((64,)), L.Dense(128, "relu"), L.Dense(4), L.Activation("linear", dtype="float32")]
        return keras.Sequential(stack)

    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = pruned(network(), 0.9)
    finally:
        keras.config.set_dtype_policy(policy)
    assert tf_pai.export_saved_model(model, tmp_path / "saved").max_difference == 0
    with pytest.raises(ValueError, match="TFLite computes in 32-bit floats. Received: .*in bfloat16. Build"):
        tf_pai.export_tflite(model, tmp_path / "net.tflite")
    plain = network()  # as the message says
    plain.set_weights(tf_pai.strip(model).get_weights())
    assert tf_pai.export_tflite(plain, tmp_path / "net.tflite").relative_difference < 1e-5


def test_lookup_layers_take_their_tables_along(tmp_path):
    words = keras.Input((3,), dtype="string", name="words")
    table = L.StringLookup(vocabulary=["a", "b"], output_mode="multi_hot")
    model = pruned(keras.Model(words, L.Dense(4)(L.Dense(64)(table(words)))), 0.5)
    tf_pai.export_saved_model(model, tmp_path / "saved")
    some = tf.constant([["a", "b", "a"], ["b", "?", "b"]])
    np.testing.assert_array_equal(served(tmp_path, some), model(some))
