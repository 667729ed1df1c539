"""The gradient's norm, before and after pruning."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tf_pai
from tf_pai.analysis import gradient_flow


def _problem():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, kernel_initializer="ones", name="fc")])
    return model, (np.array([[1.0, 2.0], [0.0, 1.0]]), np.array([[1.0], [0.0]]))


def test_by_hand_before_and_after_pruning():
    model, data = _problem()
    # outputs 3 and 1, errors 2 and 1: g = mean(2 * error * x) = (2, 4 + 1)
    assert gradient_flow(model, data, loss="mse") == {"fc/kernel": pytest.approx(4 + 25)}
    pruned = tf_pai.set_masks(model, {"fc/kernel": np.array([[0], [1]])})
    # outputs 2 and 1, errors 1 and 1: g = (-, 2 + 1), the pruned weight's left out
    assert gradient_flow(pruned, data, loss="mse") == {"fc/kernel": pytest.approx(9)}


def test_it_is_the_norm_of_the_summed_gradient_and_leaves_the_model_alone():
    model, (x, y) = _problem()
    before = [w.copy() for w in model.get_weights()]
    whole = gradient_flow(model, (x, y), loss="mse")["fc/kernel"]
    halves = tf.data.Dataset.from_tensor_slices((x, y)).batch(1)
    summed = gradient_flow(model, halves, loss="mse", batches=2)["fc/kernel"]
    assert summed == pytest.approx(4 * whole)  # two mean losses of one example each: twice the gradient
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))
