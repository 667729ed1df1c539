"""Models of keras.applications by name."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tf_pai.networks import build, list_networks


def small(name="MobileNet", **changes):
    arguments = {"input_shape": (32, 32, 3), "classes": 5, "seed": 7}
    return build(f"applications:{name}", **arguments | changes)


def test_every_model_of_keras_applications_is_listed():
    listed = {name.removeprefix("applications:") for name in list_networks(applications=True) if ":" in name}
    assert listed == {name for name in dir(keras.applications) if name[0].isupper()}


@pytest.mark.parametrize("name", ["EfficientNetB0", "MobileNetV3Small"])
def test_outputs_are_logits(name):
    model = small(name, seed=None)
    logits = model(np.random.default_rng(0).normal(size=(2, 32, 32, 3))).numpy()
    assert logits.shape == (2, 5) and model.layers[-1].activation is keras.activations.linear


@pytest.mark.parametrize("name", ["MobileNet", "MobileNetV2"])
def test_same_seed_same_weights_and_no_two_kernels_equal(name):
    first, again = (small(name, width=0.35).get_weights() for _ in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    kernels = [(w.shape, w.tobytes()) for w in first if w.ndim > 1]
    assert len(set(kernels)) == len(kernels)


def test_the_network_with_a_seed_computes_what_keras_own_does():
    seeded = small(weight_decay=1e-4)
    own = keras.applications.MobileNet(weights=None, input_shape=(32, 32, 3), classes=5, classifier_activation=None)
    own.set_weights(seeded.get_weights())
    x = np.random.default_rng(0).normal(size=(2, 32, 32, 3)).astype("float32")
    np.testing.assert_array_equal(seeded(x), own(x))


@pytest.mark.parametrize("seed", [None, 7])
def test_weight_decay_adds_itself_times_the_weight_to_the_gradient(seed):
    model = small(weight_decay=0.3, seed=seed, width=0.25)
    with tf.GradientTape() as tape:
        penalty = tf.add_n(model.losses)
    gradients = tape.gradient(penalty, [v.value for v in model.trainable_variables])
    for variable, gradient in zip(model.trainable_variables, gradients, strict=True):
        if variable.name in ("gamma", "beta"):
            assert gradient is None
        else:
            np.testing.assert_allclose(tf.convert_to_tensor(gradient), 0.3 * variable.numpy(), rtol=1e-5, atol=1e-8)


def test_width_is_alpha_where_there_is_one():
    assert small(width=0.25).get_layer("conv1").filters == 8
    message = r"keras.applications.ResNet50 has one width only. Received: width=0.5. .* applications:MobileNet, "
    with pytest.raises(ValueError, match=message):
        small("ResNet50", width=0.5)


def test_options_reach_keras():
    names = [
        [type(layer).__name__ for layer in small("MobileNetV3Small", include_preprocessing=on).layers] for on in (0, 1)
    ]
    assert "Rescaling" not in names[0] and "Rescaling" in names[1]


@pytest.mark.parametrize("option", ["include_top", "weights", "alpha", "pooling"])
def test_what_build_sets_is_no_option(option):
    message = (
        rf"Unknown option of applications:MobileNet. Received: {option}=1.* Valid options: depth_multiplier, dropout"
    )
    with pytest.raises(ValueError, match=message):
        small(**{option: 1})


@pytest.mark.parametrize("shape", [(16, 16, 3), (32, 32)])
def test_the_sizes_that_keras_refuses_are_named(shape):
    with pytest.raises(
        ValueError, match=r"Keras refuses to build applications:EfficientNetB0: .*Received: input_shape="
    ):
        small("EfficientNetB0", input_shape=shape)


@pytest.mark.parametrize(
    ("name", "nearest"), [("EffcientNetB0", "EfficientNetB0"), ("resnet50", "ResNet50"), ("vgg_16", "VGG16")]
)
def test_a_misspelt_name_gets_the_nearest(name, nearest):
    message = rf"Unknown model of keras.applications. Received: '{name}'. Did you mean '{nearest}'\?"
    with pytest.raises(ValueError, match=message):
        small(name)
