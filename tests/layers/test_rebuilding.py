"""Rebuilding a graph model keeps everything that is not changed."""

import keras
import numpy as np

import tf_pai


def test_masks_of_other_layers_stay_when_more_are_added():
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(6, name="a"), keras.layers.Dense(2, name="b")])
    first = tf_pai.prune_at_init(model, "magnitude", 0.5, include="a")
    second = tf_pai.prune_at_init(first, "magnitude", 0.75, include="b")
    np.testing.assert_array_equal(tf_pai.get_masks(second)["a/kernel"], tf_pai.get_masks(first)["a/kernel"])
    assert tf_pai.get_masks(second)["b/kernel"].sum() == 3
    assert tf_pai.verify(second)
