"""tfmot's pruning on a tf_keras twin, in its own process, against what can be known without it."""

import keras
import numpy as np
import pytest

import tf_pai
from tf_pai.traditional import twin
from tf_pai.traditional.tfmot_magnitude import polynomial_decay
from tf_pai.training import Job, build_optimizer

LAYERS = keras.layers


def model_fn(learning_rate=0.05):
    inputs = keras.Input((8, 8, 2))
    decay = keras.regularizers.L2(1e-4)
    x = LAYERS.ZeroPadding2D(1)(inputs)
    x = LAYERS.Conv2D(4, 3, kernel_regularizer=decay, name="conv")(x)
    x = LAYERS.ReLU()(LAYERS.BatchNormalization()(x))
    y = LAYERS.DepthwiseConv2D(3, padding="same", activation="relu", name="depthwise")(x)
    x = LAYERS.MaxPooling2D()(LAYERS.Add()([x, y]))
    x = LAYERS.Dropout(0.0)(LAYERS.GlobalAveragePooling2D()(x))
    model = keras.Model(inputs, LAYERS.Dense(3, activation="softmax", name="fc")(x))
    optimizer = build_optimizer("sgd", learning_rate, "cosine", steps=20, momentum=0.9)
    model.compile(optimizer, keras.losses.SparseCategoricalCrossentropy(), metrics=["accuracy"])
    return model


def small_images():
    generator = np.random.default_rng(0)
    return generator.standard_normal((64, 8, 8, 2)).astype("float32"), generator.integers(0, 3, 64)


def test_trains_prunes_and_comes_back():
    """At a learning rate of next to nothing, tfmot must leave the initial weights, the smallest of each layer zero."""
    data, epochs = small_images(), []
    callback = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: epochs.append(logs["loss"]))
    job = Job(lambda: model_fn(1e-12), "tfmot_magnitude", 0.75, data, epochs=3, batch_size=16,
              callbacks=lambda stage: [callback])  # fmt: skip
    pruned, initial = tf_pai.registry.METHODS.find("tfmot_magnitude").make(job), job.model()
    masks = tf_pai.get_masks(pruned)
    assert {path: mask.mean() for path, mask in masks.items()} == {"conv/kernel": 0.25, "fc/kernel": 0.25}
    for layer in ("conv", "fc"):
        kernel, got = (np.asarray(model.get_layer(layer).kernel) for model in (initial, pruned))
        assert np.abs(kernel[masks[f"{layer}/kernel"]]).min() >= np.abs(kernel[~masks[f"{layer}/kernel"]]).max()
        np.testing.assert_allclose(got, kernel * masks[f"{layer}/kernel"], atol=1e-6)
    assert len(epochs) == 3 and pruned.compiled and tf_pai.verify(pruned)
    # The twin has seen what the Keras 3 model would see: the same loss, BatchNorm's moving statistics included.
    history = initial.fit(*data, batch_size=16, verbose=0)
    np.testing.assert_allclose(epochs[0], history.history["loss"][0], rtol=0.2)


def test_schedule_ends_where_tfmot_prunes():
    for steps in (1, 7, 21, 468, 2808):
        schedule = polynomial_decay(0.9, steps)
        assert 0 < schedule["end_step"] <= max(1, steps)
        assert schedule["end_step"] % schedule["frequency"] == 0


def test_description_is_plain_data():
    spec = twin.describe(model_fn())
    calls = {entry["name"]: entry["calls"] for entry in spec["layers"]}
    assert calls["depthwise"] == [[["re_lu", 0]]] or calls["depthwise"][0][0][1] == 0
    assert spec["outputs"] == [["fc", 0]]
    assert twin.training(model_fn())["loss"]["class_name"] == "SparseCategoricalCrossentropy"


@pytest.mark.parametrize(
    ("layer", "text"),
    [
        (LAYERS.MultiHeadAttention(1, 2, name="attention"), r"Received: layer 'attention' \(MultiHeadAttention\)"),
        (LAYERS.Dense(2, dtype="mixed_bfloat16", name="half"), r"Received: layer 'half' \(Dense in mixed_bfloat16\)"),
        (LAYERS.Lambda(lambda x: x, name="own"), r"Received: layer 'own' \(Lambda\)"),
    ],
)
def test_first_layer_without_a_twin_is_named(layer, text):
    inputs = keras.Input((4, 3))
    outputs = layer(inputs, inputs) if layer.name == "attention" else layer(inputs)
    with pytest.raises(ValueError, match=text):
        twin.describe(keras.Model(inputs, outputs))


def test_a_subclassed_model_has_no_twin():
    class Own(keras.Model):
        pass

    with pytest.raises(ValueError, match=r"made of a Sequential or functional model. Received: .* of type Own"):
        twin.describe(Own())


def test_a_loss_of_the_users_own_has_no_twin():
    model = model_fn()
    model.compile("sgd", loss=lambda y, p: p)
    with pytest.raises(ValueError, match=r"one of Keras' own losses"):
        twin.training(model)
