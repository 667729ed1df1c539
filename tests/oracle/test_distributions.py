"""ERK, ER and uniform against google-research/rigl and jaxpruner; smart ratio against the authors' code."""

import itertools
import math

import pytest

from tests.oracle.nets import golden
from tf_pai.distributions import ERK, Patterns, SmartRatio, Uniform


def rigl_cases():
    """(distribution, shapes without the layers whose sparsity is given, those layers' density, density, golden)."""
    stored = golden("erk_flops_rigl.json")
    named = {
        "erdos_renyi_kernel": ERK(),
        "erdos_renyi_kernel_first_dense": ERK(),
        "erdos_renyi": ERK(kernel=False),
        "erdos_renyi_kernel_scale0.5": ERK(power=0.5),
        "random": Uniform(),
    }
    for key, case in stored.items():
        if "/density" in key:
            network, name, density = key.split("/")
            shapes = {layer: tuple(shape) for layer, shape in stored["shapes"][network].items()}
            if name.endswith("first_dense"):
                shapes.pop(next(iter(shapes)))
            yield named[name], shapes, float(density.removeprefix("density")), case


def test_densities_are_those_of_rigl():
    compared = 0
    for distribution, shapes, density, case in rigl_cases():
        if isinstance(distribution, ERK):
            got = distribution.densities(shapes, density)
            wanted = {layer: case["sparsity"][layer] for layer in shapes}
            assert {layer: 1 - d for layer, d in got.items()} == pytest.approx(wanted, abs=1e-12)
            compared += 1
    assert compared == 90


def test_numbers_of_zeros_are_those_of_rigl_but_for_rounding():
    # rigl rounds each layer's zeros down, twice, so that the whole keeps a weight per layer too many; here it keeps
    # round(density * N), for which a layer gives up two weights at most
    for distribution, shapes, density, case in rigl_cases():
        if "n_zeros" in case:
            for budget in distribution.budgets(shapes, density):
                (layer,) = budget.paths
                assert abs(math.prod(shapes[layer]) - budget.keep - case["n_zeros"][layer]) <= 2


def test_a_dense_first_layer_is_left_out_of_the_budget():
    shapes = {layer: tuple(shape) for layer, shape in golden("erk_flops_rigl.json")["shapes"]["lenet5"].items()}
    others = {layer: shape for layer, shape in shapes.items() if layer != "conv1"}
    budgets = Patterns({"conv1": 0.0}, rest=ERK()).budgets(shapes, 0.1)
    assert {b.paths[0]: b.keep for b in budgets} == {
        **{b.paths[0]: b.keep for b in ERK().budgets(others, 0.1)},
        "conv1": math.prod(shapes["conv1"]),
    }


def test_erk_is_that_of_jaxpruner():
    shapes_of = golden("erk_flops_rigl.json")["shapes"]
    for key, wanted in golden("erk_jaxpruner.json").items():
        network, density = key.split("/density")
        got = ERK().densities({layer: tuple(shape) for layer, shape in shapes_of[network].items()}, float(density))
        assert {layer: 1 - d for layer, d in got.items()} == pytest.approx(wanted, abs=1e-12)


def test_smart_ratio():
    stored = golden("random_tickets_smart_ratio.json")
    for key, case in stored.items():
        if "/prune" not in key:
            continue
        network, law, ratio = key.split("/")
        channels = stored["channels"][network]
        shapes = {f"conv{i}": (3, 3, *pair) for i, pair in enumerate(itertools.pairwise(channels))}
        shapes["fc"] = (channels[-1], 10)
        assert [math.prod(shape) for shape in shapes.values()] == case["sizes"]
        smart, density = SmartRatio(vgg=law == "vgg"), 1 - float(ratio.removeprefix("prune"))
        exact = [d * n for d, n in zip(smart.densities(shapes, density).values(), case["sizes"], strict=True)]
        # the reference cuts each number down to an integer, which loses some weights of the whole
        assert all(abs(math.floor(x + 1e-6) - kept) <= 1 for x, kept in zip(exact, case["kept"], strict=True))
        budgets = [budget.keep for budget in smart.budgets(shapes, density)]
        assert sum(budgets) == round(density * sum(case["sizes"]))
        assert all(abs(keep - kept) <= 2 for keep, kept in zip(budgets, case["kept"], strict=True))
