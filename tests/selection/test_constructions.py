"""Proving and Logarithmic: the subnet of a wide random network is as near to its target as the theorem says."""

import logging

import keras
import numpy as np
import pytest

import tf_pai
from tf_pai.layers import weights_of
from tf_pai.selection import Logarithmic, Proving
from tf_pai.selection.logarithmic import GOLDEN, Hyperbolic
from tf_pai.selection.target import chain_of, entry_errors

L = keras.layers


def target(use_bias=False, seed=0):
    """2-3-1, spectral norms at most 1."""
    model = keras.Sequential(
        [keras.Input((2,)), L.Dense(3, "relu", use_bias=use_bias, name="a"), L.Dense(1, use_bias=use_bias, name="b")]
    )
    rng = np.random.default_rng(seed)
    for variable in weights_of(model).values():
        value = rng.standard_normal(variable.shape)
        variable.assign(value / np.linalg.norm(value, 2) if value.ndim > 1 else 0.3 * value)
    return model


def ball(n, dimension, seed=1):
    x = np.random.default_rng(seed).standard_normal((n, dimension))
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype("float32")


def distance(one, other, x):
    return float(np.linalg.norm(one(x) - other(x), axis=-1).max())


@pytest.mark.parametrize("use_bias", [False, True])
@pytest.mark.parametrize("rule", [Proving(epsilon=1.0), Logarithmic(epsilon=0.03)])
def test_outputs_are_within_epsilon_and_no_weight_is_changed(rule, use_bias):
    small = target(use_bias)
    made = rule.build(small, seed=3)
    assert made.epsilon == rule.epsilon
    assert 0 < distance(made.model, small, ball(200, 2)) <= rule.epsilon
    drawn = {
        layer.name: layer.kernel_initializer(layer.kernel.shape)
        for layer in made.model.layers
        if "_" in layer.name and hasattr(layer, "kernel")
    }
    for path, mask in tf_pai.get_masks(made.model).items():
        assert np.array_equal(weights_of(made.model)[path].numpy(), drawn[path.split("/")[0]] * mask)
    assert not made.model.trainable_variables
    again = rule.build(small, seed=3).model
    assert all(np.array_equal(m, tf_pai.get_masks(again)[path]) for path, m in tf_pai.get_masks(made.model).items())


@pytest.mark.parametrize("rule", [Proving, Logarithmic])
def test_each_neuron_serves_one_weight_at_most(rule):
    masks = list(tf_pai.get_masks(rule(width=3000).build(target(), seed=0).model).values())
    for inner, outer in zip(masks[::2], masks[1::2], strict=True):
        assert inner.sum(0).max() == 1 and np.array_equal(inner.sum(0), outer.sum(1))


def test_proving_takes_a_neuron_for_each_sign_of_an_input():
    masks = list(tf_pai.get_masks(Proving(width=3000).build(target(), seed=0).model).values())
    assert [int(mask.sum()) for mask in masks] == [12, 12, 3, 3]  # 6 weights * 2 signs; after the ReLU 3 weights * 1


def test_wider_is_nearer_and_logarithmic_needs_far_fewer():
    chain, small, x = chain_of(target()), target(), ball(200, 2)
    for rule in (Proving, Logarithmic):
        promised = [rule(width=width).guaranteed(chain) for width in (4000, 16_000, 64_000)]
        assert promised == sorted(promised, reverse=True)
        made = [rule(width=width).build(small, seed=0) for width in (4000, 16_000)]
        assert [one.epsilon for one in made] == promised[:2]
        assert all(distance(one.model, small, x) <= one.epsilon for one in made)
    one, two = ([max(rule().widths(chain, e)) for e in (0.1, 0.01)] for rule in (Proving, Logarithmic))
    assert one[1] / one[0] == pytest.approx(100, rel=0.01)  # 1 / epsilon^2
    assert two[1] / two[0] < 2 and two[0] < one[0] / 100


def test_the_expansion_is_golden():
    """A weight of 1 with products in [g^(k+2), g^(k+1)]: what is left after step k is at most g^(k+1)."""
    rng = np.random.default_rng(0)
    rest = 1.0
    for k in range(20):
        z = rng.uniform(GOLDEN ** (k + 2), GOLDEN ** (k + 1))
        rest -= z if rest > GOLDEN ** (k + 1) else 0
        assert 0 <= rest <= GOLDEN ** (k + 1) + 1e-12


def test_hyperbolic_weights():
    w = np.asarray(Hyperbolic(0.01, 1.0, seed=0)((20_000,)))
    assert np.abs(w).min() >= 0.01 and np.abs(w).max() <= 1
    assert (np.abs(w) < 0.1).mean() == pytest.approx(0.5, abs=0.02) and (w > 0).mean() == pytest.approx(0.5, abs=0.02)


def test_errors_of_weights_add_up_to_epsilon():
    chain = chain_of(target(use_bias=True))
    errors = entry_errors(chain, 0.1, radius=1.0)
    rng, x = np.random.default_rng(0), ball(500, 2)
    for _ in range(20):
        h = g = x
        for layer, e in zip(chain, errors, strict=True):
            moved = layer.kernel + e * rng.choice([-1, 1], layer.kernel.shape)
            h, g = (np.hstack([z, np.ones((len(z), 1))]) @ w for z, w in ((h, layer.kernel), (g, moved)))
            h, g = (np.maximum(z, 0) if layer.activation == "relu" else z for z in (h, g))
        assert np.linalg.norm(h - g, axis=1).max() <= 0.1


def test_select_subnet_run_and_tickets(tmp_path):
    small = target()
    model = tf_pai.select_subnet(small, Logarithmic(epsilon=0.3), seed=0)
    assert tf_pai.sparsity(model) > 0.9
    size = tf_pai.save_ticket(model, tmp_path / "ticket.npz")
    assert size.weights == 0
    wide = Logarithmic(epsilon=0.3).build(small, seed=9).model
    loaded = tf_pai.load_ticket(tf_pai.strip(wide), tmp_path / "ticket.npz")
    assert np.array_equal(loaded(ball(9, 2)), model(ball(9, 2)))

    def model_fn():
        model = target(use_bias=True)
        model.compile("sgd", "mse")
        return model

    data = ball(64, 2), ball(64, 2)[:, :1]
    for method, options in (("proving", {"width": 500}), ("logarithmic", {"epsilon": 0.5})):
        asked = {"data": data, "validation_data": data, "epochs": 1, "seed": 0, "run_dir": tmp_path / method}
        result = tf_pai.run(model_fn, method, 0.5, options=options, **asked)
        assert result.metrics["sparsity"] > 0.9 and result.metrics["loss"] > 0
        assert keras.models.load_model(tmp_path / method / "model.keras")(data[0]).shape == (64, 1)


def test_a_limit_is_kept_with_a_warning(caplog):
    with caplog.at_level(logging.WARNING, "tf_pai"):
        made = Proving(epsilon=0.01, limit=20_000).build(target(), seed=0)
    assert sum(mask.size for mask in tf_pai.get_masks(made.model).values()) <= 20_000 + 10
    assert made.epsilon > 0.01 and "more than limit=20000 weights; this network promises" in caplog.text


def test_errors():
    with pytest.raises(ValueError, match="epsilon lies between 0 and inf. Received: epsilon=0"):
        Proving(epsilon=0)
    with pytest.raises(ValueError, match="width is a whole number, 1 or more. Received: width=0"):
        Logarithmic(width=0)
    with pytest.raises(ValueError, match="chain of Dense layers with ReLU between them. Received: Conv2D 'conv'"):
        tf_pai.select_subnet(keras.Sequential([keras.Input((4, 4, 1)), L.Conv2D(2, 3, name="conv")]), "proving")
    with pytest.raises(ValueError, match="'one' with activation 'tanh' before 'two'"):
        layers = [L.Dense(2, "tanh", name="one"), L.Dense(1, name="two")]
        tf_pai.select_subnet(keras.Sequential([keras.Input((2,)), *layers]), "logarithmic")
    with pytest.raises(ValueError, match="Received: structure='2:4'. Leave it out"):
        tf_pai.select_subnet(target(), "proving", structure="2:4")
    with pytest.raises(ValueError, match="more than the 0.[0-9]+ that these widths give"):
        tf_pai.select_subnet(target(), Proving(width=50), 0.99999, seed=0)


@pytest.mark.parametrize("rule", [Proving, Logarithmic])
@pytest.mark.parametrize("kind", ["called twice", "two inputs", "parallel", "not flattened", "relu6"])
def test_a_target_that_is_no_chain(rule, kind):
    inputs, other = keras.Input((2,), name="x"), keras.Input((2,), name="other")
    one, two = L.Dense(2, "relu", False, "zeros", name="one"), L.Dense(2, "relu", name="two")  # all compute the same
    targets = {
        "called twice": lambda: keras.Model(inputs, two(one(one(inputs)))),
        "two inputs": lambda: keras.Model([inputs, other], [two(one(inputs)), two(one(other))]),
        "parallel": lambda: keras.Model(inputs, [one(inputs), two(inputs)]),
        "not flattened": lambda: keras.Sequential([keras.Input((3, 2)), one, two]),
        "relu6": lambda: keras.Sequential([inputs, L.Dense(2), L.ReLU(6.0), two]),
    }
    with pytest.raises(ValueError, match="A target is a chain"):
        tf_pai.select_subnet(targets[kind](), rule(width=100), 0.5, seed=0)


def test_an_activation_that_makes_errors_larger():
    with pytest.raises(ValueError, match="makes no error larger, .*Received: 'b' with activation 'exponential'"):
        tf_pai.select_subnet(keras.Sequential([keras.Input((2,)), L.Dense(1, "exponential", name="b")]), "proving")
