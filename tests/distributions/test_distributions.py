"""Budgets: their sums, the formulas behind them, patterns, floors, names."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tf_pai import distributions
from tf_pai.distributions import ERK, Budget, Global, Layerwise, Patterns, SmartRatio, Uniform, with_floor

SHAPE = st.one_of(
    st.tuples(st.integers(1, 60), st.integers(1, 60)),
    st.tuples(st.just(3), st.just(3), st.integers(1, 20), st.integers(1, 20)),
)
SHAPES = st.lists(SHAPE, min_size=1, max_size=6).map(lambda shapes: {f"w{i}": s for i, s in enumerate(shapes)})
DENSITY = st.floats(0.01, 1.0)
LENET = {"fc1": (784, 300), "fc2": (300, 100), "fc3": (100, 10)}


def sizes(shapes):
    return {path: math.prod(shape) for path, shape in shapes.items()}


@settings(deadline=None, max_examples=150)
@given(SHAPES, DENSITY, st.sampled_from([Global(), ERK(), ERK(kernel=False), SmartRatio(), SmartRatio(vgg=True)]))
def test_budgets_cover_each_weight_once_and_add_up(shapes, density, distribution):
    budgets = distribution.budgets(shapes, density)
    assert [path for budget in budgets for path in budget.paths] == list(shapes)
    total = round(density * sum(sizes(shapes).values()))
    least = len(shapes) if isinstance(distribution, Layerwise) else 0  # no layer is emptied
    assert sum(budget.keep for budget in budgets) == max(total, least)
    for budget in budgets:
        assert 0 <= budget.keep <= sum(sizes(shapes)[path] for path in budget.paths)


def test_a_dense_layer_gives_way_where_the_count_leaves_no_choice():
    """floor(0.0005 * 1080) = 0 zeros make the layer dense, and round(0.9995 * 1080) = 1079 weights are asked for."""
    assert [budget.keep for budget in ERK().budgets({"w": (3, 3, 6, 20)}, 0.9995)] == [1079]


@settings(deadline=None)
@given(SHAPES, DENSITY)
def test_uniform_keeps_the_same_fraction_of_each(shapes, density):
    for budget in Uniform().budgets(shapes, density):
        assert budget.keep == max(1, round(density * sizes(shapes)[budget.paths[0]]))


@settings(deadline=None)
@given(SHAPES, DENSITY)
def test_erk_is_its_formula(shapes, density):
    got = ERK().densities(shapes, density)
    sparse = [path for path in shapes if got[path] < 1]
    scales = [got[path] / (sum(shapes[path]) / math.prod(shapes[path])) for path in sparse]
    assert scales == pytest.approx([scales[0]] * len(scales)) if scales else True
    assert all(0 <= d <= 1 for d in got.values())


def test_erk_by_hand():
    # raw = (in + out) / (in * out): a (2, 4): 6/8, b (8, 8): 16/64; raw * size = 6 and 16
    # density 1/2 of 72 = 36: eps = 36/22, a would have 1.23 > 1: dense, 8; b: (36 - 8) / 64
    assert ERK().densities({"a": (2, 4), "b": (8, 8)}, 0.5) == {"a": 1.0, "b": pytest.approx(28 / 64)}


def test_er_leaves_the_kernels_size_out():
    shapes = {"conv": (3, 3, 4, 8), "fc": (8, 16)}
    er = ERK(kernel=False).densities(shapes, 0.1)
    assert er["conv"] / er["fc"] == pytest.approx((12 / 32) / (24 / 128))


def test_patterns_are_left_out_of_the_others_budget():
    budgets = Patterns({"fc1": 0.99, "fc*": 0.5}).budgets(LENET, 0.1)
    assert {b.paths: b.keep for b in budgets} == {("fc1",): 2352, ("fc2",): 15000, ("fc3",): 500}
    budgets = Patterns({"fc3": 0.0}).budgets(LENET, 0.1)
    assert budgets == [Budget(("fc1", "fc2"), 26520), Budget(("fc3",), 1000)]


def test_a_pattern_that_matches_nothing():
    with pytest.raises(ValueError, match=r"matches none. Did you mean 'fc1'\?"):
        Patterns({"fc1x": 0.5}).budgets(LENET, 0.1)


def test_smart_ratio_by_hand():
    # L = 3: the law gives 12 and 6 to the convolutions; 30 of the 100 linear weights stay, so the convolutions get
    # 0.2 * 1000 - 30 = 170 = k (12 * 300 + 6 * 600), k = 170 / 7200
    shapes = {"a": (3, 1, 10, 10), "b": (3, 2, 10, 10), "fc": (10, 10)}
    got = SmartRatio().densities(shapes, 0.2)
    assert got == pytest.approx({"a": 12 * 170 / 7200, "b": 6 * 170 / 7200, "fc": 0.3})


def test_smart_ratio_hands_on_what_a_layer_cannot_hold():
    shapes = {"a": (1, 1, 5, 2), "b": (1, 1, 10, 10), "c": (1, 1, 10, 10)}
    got = SmartRatio().densities(shapes, 0.5)  # 12 k * 10 + 6 k * 100 + 2 k * 100 = 105: k = 0.114, a = 1.37
    assert got["a"] == 1.0
    assert got["b"] == pytest.approx(6 * 105 / 920 + (12 * 105 / 920 - 1) * 10 / 100)


def test_smart_ratio_of_a_network_of_linear_layers_alone():
    budgets = SmartRatio().budgets(LENET, 0.1)
    assert sum(b.keep for b in budgets) == 26620
    shares = {b.paths[0]: b.keep / sizes(LENET)[b.paths[0]] for b in budgets}
    assert shares["fc1"] > shares["fc2"] > shares["fc3"]


@settings(deadline=None)
@given(SHAPES, st.floats(0.2, 1.0), st.integers(0, 5))
def test_a_floor_takes_from_those_with_room(shapes, density, min_keep):
    budgets = Uniform().budgets(shapes, density)
    floors = {path: min(min_keep, size) for path, size in sizes(shapes).items()}
    lifted = with_floor(budgets, shapes, min_keep)
    if sum(floors.values()) <= sum(b.keep for b in budgets):
        assert sum(b.keep for b in lifted) == sum(b.keep for b in budgets)
    assert all(b.keep >= floors[b.paths[0]] for b in lifted)


def test_names():
    assert [repr(distributions.get(name)) for name in ("global", "uniform", "erk", "er")] == [
        "global", "uniform", "erk", "er",
    ]  # fmt: skip
    assert repr(distributions.get("smart_ratio")) == "smart_ratio(linear=0.3)"
    assert repr(distributions.get({"conv*": 0.5})) == "patterns {'conv*': 0.5}"
    assert repr(ERK(power=0.5)) == "erk power=0.5"
    with pytest.raises(ValueError, match=r"Unknown distribution. Received: 'unifrom'. Did you mean 'uniform'\?"):
        distributions.get("unifrom")


@pytest.mark.parametrize("linear", [0, 1.5])
def test_smart_ratios_linear_layers_keep_a_fraction(linear):
    with pytest.raises(ValueError, match=r"keep a fraction in \(0, 1\]. Received"):
        SmartRatio(linear=linear)
