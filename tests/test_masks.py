"""Masks read, set, and checked."""

import keras
import numpy as np
import pytest

import tf_pai
from tests.layers.support import LOSS, leaks, pruned, random_masks, same_masks

L = keras.layers


def perceptron():
    keras.utils.set_random_seed(0)
    layers = [L.Dense(8, activation="relu", name="fc1"), L.Dense(3, name="fc2")]
    return keras.Sequential([keras.Input((6,)), *layers])


@pytest.fixture
def model():
    return pruned(perceptron())


# Reading.


def test_masks_come_in_model_order_as_booleans(model):
    masks = tf_pai.get_masks(model)
    assert list(masks) == ["fc1/kernel", "fc2/kernel"]
    assert [mask.shape for mask in masks.values()] == [(6, 8), (8, 3)]
    assert all(mask.dtype == bool for mask in masks.values())


def test_coordinates_of_the_kept_weights(model):
    for path, coordinates in tf_pai.get_masks(model, form="coo").items():
        mask = tf_pai.get_masks(model)[path]
        assert coordinates.shape == (mask.sum(), 2) and coordinates.dtype.kind == "i"
        assert mask[tuple(coordinates.T)].all()
        assert (np.diff(np.ravel_multi_index(tuple(coordinates.T), mask.shape)) > 0).all()


def test_a_plain_model_has_no_masks():
    assert tf_pai.get_masks(perceptron()) == {} and tf_pai.sparsity(perceptron()) == 0.0
    assert tf_pai.verify(perceptron())


def test_sparsity_counts_the_weights_that_have_masks():
    model = tf_pai.set_masks(perceptron(), {"fc1/kernel": np.arange(48).reshape(6, 8) % 4 == 0})
    assert tf_pai.sparsity(model) == 0.75


def test_an_unknown_form(model):
    with pytest.raises(ValueError, match=r'as "bool" or "coo"\. Received: form=\'cooo\'\. Did you mean \'coo\'\?'):
        tf_pai.get_masks(model, form="cooo")


# Setting.


def test_setting_masks_sets_pruned_weights_to_zero_and_leaves_the_others():
    dense = perceptron()
    masks = random_masks(dense)
    model = tf_pai.set_masks(dense, masks)
    for layer in ("fc1", "fc2"):
        kernel, before = model.get_layer(layer).kernel.numpy(), dense.get_layer(layer).kernel.numpy()
        np.testing.assert_array_equal(kernel, before * masks[f"{layer}/kernel"])


def test_coordinates_can_be_set(model):
    coordinates = tf_pai.get_masks(model, form="coo")
    other = tf_pai.set_masks(perceptron(), coordinates)
    assert same_masks(tf_pai.get_masks(other), tf_pai.get_masks(model))


def test_no_coordinates_are_an_empty_mask():
    model = tf_pai.set_masks(perceptron(), {"fc1/kernel": np.zeros((0, 2), int)})
    assert not tf_pai.get_masks(model)["fc1/kernel"].any()


def test_one_mask_is_set_and_the_others_stay(model):
    before = tf_pai.get_masks(model)
    assert tf_pai.set_masks(model, {"fc2/kernel": np.ones((8, 3))}) is model
    assert tf_pai.get_masks(model)["fc2/kernel"].all()
    np.testing.assert_array_equal(tf_pai.get_masks(model)["fc1/kernel"], before["fc1/kernel"])


@pytest.mark.parametrize(
    ("masks", "message"),
    [
        (
            {"fc/kernel": np.ones((6, 8))},
            r"belongs to a weight of the model\. Received: 'fc/kernel'\. Did you mean 'fc",
        ),
        ({"fc1/kernel": np.ones((8, 6))}, r"its weight's shape, \(6, 8\)\. Received: shape \(8, 6\) for 'fc1/kernel'"),
        ({"fc1/kernel": np.full((6, 8), 0.5)}, r"zeros and ones\. Received: other values for 'fc1/kernel'"),
        (
            {"fc1/kernel": np.array([[6, 0]])},
            r"inside the weight's shape, \(6, 8\)\. Received: others for 'fc1/kernel'",
        ),
        ({"fc1/kernel": np.array([[0, -1]])}, r"inside the weight's shape, \(6, 8\)\. Received: others"),
    ],
)
def test_wrong_masks_change_nothing(model, masks, message):
    before, weights = tf_pai.get_masks(model), model.get_weights()
    with pytest.raises(ValueError, match=message):
        tf_pai.set_masks(model, {"fc2/kernel": np.zeros((8, 3)), **masks})
    assert same_masks(tf_pai.get_masks(model), before)
    assert all(np.array_equal(a, b) for a, b in zip(weights, model.get_weights(), strict=True))


def test_masks_set_during_training_clear_the_optimizer_s_memory_of_pruned_weights(model):
    model.compile(keras.optimizers.Adam(0.1), LOSS)
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((32, 6)), rng.integers(0, 3, 32)
    model.fit(x, y, verbose=0)
    masks = random_masks(model, sparsity=0.9, seed=5)
    tf_pai.set_masks(model, masks)
    for layer in ("fc1", "fc2"):
        index = model.optimizer._get_variable_index(model.get_layer(layer).kernel)
        for slots in (model.optimizer._momentums, model.optimizer._velocities):
            assert not slots[index].numpy()[~masks[f"{layer}/kernel"]].any()
    model.fit(x, y, verbose=0)
    assert not leaks(model) and same_masks(tf_pai.get_masks(model), masks)


@pytest.mark.parametrize(
    "optimizer",
    [
        keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam()),
        keras.optimizers.MultiOptimizer(keras.optimizers.OptimizerMap(keras.optimizers.Adam())),
    ],
)
def test_slots_behind_other_optimizers_are_cleared(optimizer, model):
    tf_pai.set_masks(model, {path: np.ones(mask.shape) for path, mask in tf_pai.get_masks(model).items()})
    model.compile(optimizer, LOSS)
    rng = np.random.default_rng(0)
    model.fit(rng.standard_normal((32, 6)), rng.integers(0, 3, 32), verbose=0)
    masks = random_masks(model)
    tf_pai.set_masks(model, masks)
    (leaf,) = getattr(optimizer, "optimizers", None) or [optimizer.inner_optimizer]
    moments = leaf._momentums[leaf._get_variable_index(model.get_layer("fc1").kernel)].numpy()
    assert not moments[~masks["fc1/kernel"]].any() and moments.any()
