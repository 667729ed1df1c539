"""Masks mean what the scores are, also where an optimizer's moving averages have taken their place."""

import keras
import numpy as np
import pytest

import tf_pai
from tests.selection.test_select import batch, dense_net, digest, select
from tf_pai.layers import prunable_layers


def assert_masks_are_those_of_the_scores(model):
    masks = tf_pai.get_masks(model)
    for layer in prunable_layers(model).values():
        layer.project()
    assert all(np.array_equal(mask, masks[path]) for path, mask in tf_pai.get_masks(model).items())


def averaging(wrapped=False, **options):
    optimizer = keras.optimizers.Adam(0.05, use_ema=True, **options)
    return keras.optimizers.LossScaleOptimizer(optimizer) if wrapped else optimizer


@pytest.mark.parametrize("distribution", ["uniform", "global"])
@pytest.mark.parametrize("options", [{}, {"ema_overwrite_frequency": 3}, {"wrapped": True}])
def test_moving_averages_of_scores_have_masks_of_their_own(options, distribution):
    model = select(dense_net(), optimizer=averaging(**options), distribution=distribution)
    before, scores = digest(model), [v.numpy() for v in model.trainable_variables]
    for _ in range(2):  # the second time, nothing is traced
        model.fit(*batch(), epochs=2, verbose=0)
        assert_masks_are_those_of_the_scores(model)
    assert digest(model) == before and tf_pai.sparsity(model) == 0.5
    assert all((v.numpy() != old).any() for v, old in zip(model.trainable_variables, scores, strict=True))


def test_an_optimizer_without_averages_is_left_as_it_is():
    model = select(dense_net())
    model.fit(*batch(), verbose=0)
    assert "finalize_variable_values" not in vars(model.optimizer)
    assert_masks_are_those_of_the_scores(model)
