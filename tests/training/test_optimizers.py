"""Optimizers and schedules by name."""

import numpy as np
import pytest

from tf_pai.training import OPTIMIZERS, SCHEDULES, build_optimizer


def rates(schedule, steps):
    rate = SCHEDULES.find(schedule)(1.0, steps)
    return [float(rate(t)) if callable(rate) else rate for t in range(steps)]


def test_schedules_by_hand():
    assert rates("constant", 4) == [1.0] * 4
    np.testing.assert_allclose(rates("cosine", 4), [1, 0.5 + 0.25 * 2**0.5, 0.5, 0.5 - 0.25 * 2**0.5], rtol=1e-6)
    np.testing.assert_allclose(rates("drops", 8), [1] * 5 + [0.1] * 2 + [0.01], rtol=1e-6)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_is_built(name):
    assert float(build_optimizer(name, 0.25).learning_rate) == 0.25


def test_options_go_through():
    optimizer = build_optimizer("sgd", 0.1, momentum=0.9, nesterov=True)
    assert (optimizer.momentum, optimizer.nesterov) == (0.9, True)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"name": "sdg"}, r"Unknown optimizer. Received: 'sdg'. Did you mean 'sgd'\?"),
        ({"schedule": "cosin"}, r"Did you mean 'cosine'\?"),
        ({"lr": 0}, "A learning rate is above 0. Received: lr=0"),
        ({"schedule": "cosine"}, "spans the training. Received: steps=None"),
        ({"momentum": 1.0}, r"A momentum is in \[0, 1\). Received: momentum=1.0"),
        ({"name": "adam", "momentum": 0.9}, "take a momentum. Received: momentum=0.9 for 'adam'"),
    ],
)
def test_wrong_arguments(arguments, text):
    with pytest.raises(ValueError, match=text):
        build_optimizer(**arguments)
