"""What every registered network does: logits, seeds, width, weight decay, names, errors."""

import functools
import json
import random
import re

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.support import shared_path
from tf_pai import networks

NAMES = networks.list_networks()
TEXTS = ("lstm", "text_transformer")
# One of each builder, for what its depth cannot change.
FAMILIES = (
    *("conv_4", "lenet_300_100", "lenet_5", "lstm", "mobilenet_v1", "mobilenet_v2", "resnet_18", "resnet_20"),
    *("resnet_50", "text_transformer", "vgg_11", "vit_tiny", "wrn_16_8"),
)
SMALL = {"width": 0.125, "seed": 7}
OPTIONS = {
    "vit_tiny": {"depth": 1},
    "text_transformer": {"vocabulary": 50, "depth": 1},
    "lstm": {"vocabulary": 50},
}


def small(name, **changes):
    shape = (12,) if name in TEXTS else (16, 16, 3)
    return networks.build(name, **{"input_shape": shape, "classes": 5} | SMALL | OPTIONS.get(name, {}) | changes)


built = functools.cache(small)


def batch_for(name, size=4):
    rng = np.random.default_rng(0)
    if name in TEXTS:
        return rng.integers(1, 50, (size, 12)).astype("int32")
    return rng.normal(size=(size, 16, 16, 3)).astype("float32")


def values(model):
    return [weight.numpy() for weight in model.weights]


def equal(first, second):
    return [np.array_equal(a, b) for a, b in zip(first, second, strict=True)]


def kernels(model):
    return [v for v in model.trainable_variables if len(v.shape) > 1 and v.name != "bias"]


def test_the_names_are_the_ones_promised():
    assert networks.list_networks() == [
        *("conv_2", "conv_4", "conv_6", "conv_8", "lenet_300_100", "lenet_5", "lstm", "mobilenet_v1", "mobilenet_v2"),
        *("resnet_18", "resnet_20", "resnet_32", "resnet_34", "resnet_50", "resnet_56", "text_transformer"),
        *("vgg_11", "vgg_16", "vgg_19", "vit_tiny", "wrn_16_8", "wrn_22_8", "wrn_28_10", "wrn_28_2"),
    ]
    assert "applications:EfficientNetB0" in networks.list_networks(applications=True)


@pytest.mark.parametrize("name", NAMES)
def test_outputs_are_logits_of_an_uncompiled_functional_model(name):
    model = built(name)
    logits = model(batch_for(name)).numpy()
    assert isinstance(model, keras.src.models.Functional) and not model.compiled
    assert logits.shape == (4, 5) and np.isfinite(logits).all()
    assert model.layers[-1].name == "classifier" and model.layers[-1].activation is keras.activations.linear
    assert model.name == name


@pytest.mark.parametrize("name", NAMES)
def test_same_seed_same_weights_and_another_seed_others(name):
    first, again, other = built(name), small(name), small(name, seed=8)
    assert all(equal(values(first), values(again)))
    assert not any(equal([k.numpy() for k in kernels(first)], [k.numpy() for k in kernels(other)]))
    assert [layer.name for layer in first.layers] == [layer.name for layer in again.layers]


@pytest.mark.parametrize("name", NAMES)
def test_no_two_kernels_of_one_shape_start_equal(name):
    drawn = [(tuple(kernel.shape), kernel.numpy().tobytes()) for kernel in kernels(built(name))]
    assert len(set(drawn)) == len(drawn)


@pytest.mark.parametrize("name", ["lenet_5", "vit_tiny", "lstm", "applications:MobileNet"])
def test_building_with_a_seed_leaves_the_global_random_states_alone(name):
    shape = (12,) if name in TEXTS else (32, 32, 3)
    tf.random.set_global_generator(tf.random.Generator.from_seed(0))  # one is made only without op determinism
    states = random.getstate(), np.random.get_state()[1].tolist(), tf.random.get_global_generator().state.numpy()
    networks.build(name, input_shape=shape, classes=2, width=0.25, seed=1)
    assert random.getstate() == states[0]
    assert np.random.get_state()[1].tolist() == states[1]
    assert np.array_equal(tf.random.get_global_generator().state.numpy(), states[2])


def test_without_a_seed_each_build_differs():
    assert not any(equal(*([k.numpy() for k in kernels(small("vit_tiny", seed=None))] for _ in range(2))))


@pytest.mark.parametrize("name", sorted(set(FAMILIES) - {"mobilenet_v2"}))  # it rounds channels: see its own tests
def test_width_doubles_the_channels(name):
    narrow, wide = (
        {
            k.path: k.shape[-1]
            for k in kernels(small(name, width=width))
            if not re.search("classifier|depthwise", k.path)
        }
        for width in (0.25, 0.5)
    )
    assert narrow.keys() == wide.keys()
    # 12.5 channels are 12 where 25 are 25.
    assert all(abs(wide[path] - 2 * channels) <= 1 for path, channels in narrow.items())


@pytest.mark.parametrize("name", FAMILIES)
def test_weight_decay_adds_itself_times_the_weight_to_the_gradient(name):
    model = small(name, weight_decay=0.3)
    with tf.GradientTape() as tape:
        penalty = tf.add_n(model.losses)
    gradients = tape.gradient(penalty, [v.value for v in model.trainable_variables])
    for variable, gradient in zip(model.trainable_variables, gradients, strict=True):
        if variable.name in ("gamma", "beta"):
            assert gradient is None
        else:
            np.testing.assert_allclose(tf.convert_to_tensor(gradient), 0.3 * variable.numpy(), rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("name", NAMES)
def test_no_weight_decay_means_no_penalty(name):
    assert built(name).losses == []


@pytest.mark.parametrize("name", FAMILIES)
def test_every_kernel_gets_a_gradient(name):
    model = small(name)  # its own: training moves the statistics of BatchNorm
    with tf.GradientTape() as tape:
        logits = model(batch_for(name), training=True)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)(np.arange(4), logits)
    for kernel, gradient in zip(kernels(model), tape.gradient(loss, [k.value for k in kernels(model)]), strict=True):
        assert np.any(tf.convert_to_tensor(gradient).numpy() != 0), kernel.path


@pytest.mark.parametrize("name", ["lenet_300_100", "resnet_20", "vit_tiny", "text_transformer", "lstm"])
def test_training_lowers_the_loss(name):
    model = small(name, weight_decay=1e-4)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    # Eagerly, as tracing the larger graphs takes longer than the steps.
    model.compile(keras.optimizers.Adam(3e-3), loss, run_eagerly=name != "lenet_300_100")
    losses = [model.train_on_batch(batch_for(name), np.arange(4)) for _ in range(4)]
    assert np.isfinite(losses).all() and losses[-1] < losses[0]


@pytest.mark.parametrize("name", NAMES)
def test_layers_have_names_of_their_own(name):
    for layer in built(name).layers:
        automatic = re.fullmatch(rf"{keras.src.utils.naming.to_snake_case(type(layer).__name__)}(_\d+)?", layer.name)
        assert not automatic or layer.name in ("flatten", "lstm")


@pytest.mark.parametrize("name", ["resnet_20", "vit_tiny", "text_transformer", "lstm"])
def test_saved_models_need_no_tf_pai(name, tmp_path):
    model = small(name, weight_decay=1e-4)
    assert "tf_pai" not in json.dumps(json.loads(model.to_json()))
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(batch_for(name)), model(batch_for(name)))


@pytest.mark.parametrize(
    ("name", "case"),
    [("lenet_300_100", "lenet300"), ("lenet_5", "lenet5"), ("conv_6", "conv6"), ("resnet_50", "resnet50")],
)
def test_kernel_shapes_are_those_of_the_reference_code(name, case):
    shapes = json.loads(shared_path("oracle", "erk_flops_rigl.json").read_text())["shapes"][case]
    classes = shapes[list(shapes)[-1]][-1]
    shape = {"conv_6": (32, 32, 3), "resnet_50": (224, 224, 3)}.get(name, (28, 28, 1))
    model = networks.build(name, input_shape=shape, classes=classes, seed=0)
    assert sorted(tuple(k.shape) for k in kernels(model)) == sorted(map(tuple, shapes.values()))


@pytest.mark.parametrize("name", sorted(set(NAMES) - {*TEXTS, "lenet_300_100"}))
def test_inputs_that_are_no_images_are_refused(name):
    rule = re.escape(f"{name} takes images (height, width, channels) of at least ")
    with pytest.raises(ValueError, match=rule + r"\d+ x \d+ pixels. Received: input_shape=\(784,\). Give such images"):
        small(name, input_shape=(784,))


@pytest.mark.parametrize("name", ["lenet_5", "conv_8", "vgg_16", "mobilenet_v1", "mobilenet_v2"])
def test_images_that_are_too_small_are_refused_and_the_smallest_fit(name):
    with pytest.raises(ValueError, match=r"at least 16 x 16 pixels. Received: input_shape=\(15, 16, 3\)"):
        small(name, input_shape=(15, 16, 3))
    assert small(name, input_shape=(16, 16, 3)).output_shape == (None, 5)


@pytest.mark.parametrize("name", TEXTS)
def test_images_are_no_tokens(name):
    with pytest.raises(ValueError, match=rf"{name} takes token ids, .* Received: input_shape=\(32, 32, 3\). Give e.g."):
        small(name, input_shape=(32, 32, 3))


def test_a_misspelt_name_gets_the_nearest():
    with pytest.raises(ValueError, match=r"Unknown network. Received: 'resnet20'. Did you mean 'resnet_20'\?"):
        networks.build("resnet20", input_shape=(32, 32, 3), classes=10)


def test_an_unknown_option_gets_the_valid_ones():
    message = (
        r"Unknown option of resnet_20. Received: shorcut='identity'. Did you mean 'shortcut'\? "
        r"Valid options: shortcut, init\."
    )
    with pytest.raises(ValueError, match=message):
        small("resnet_20", shorcut="identity")
    with pytest.raises(
        ValueError, match=r"Unknown option of wrn_28_2. Received: depth=40.* Valid options: dropout, init"
    ):
        small("wrn_28_2", depth=40)
