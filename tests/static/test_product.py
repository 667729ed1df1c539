"""Every criterion with every structure, distribution and schedule: together, or an error that says why not."""

import functools

import keras
import numpy as np
import pytest

import tf_pai
from tf_pai import criteria
from tf_pai.schedules import Iterative, Progressive

L = keras.layers
CRITERIA = {
    "magnitude": criteria.Magnitude(),
    "random": criteria.Random(),
    "skeletonization": criteria.Skeletonization(),
    "obd": criteria.OBD(probes=1),
    "taylor_fo": criteria.TaylorFO(),
    "snip": criteria.SNIP(),
    "iter_snip": criteria.IterSNIP(),
    "force": criteria.FORCE(),
    "grasp": criteria.GraSP(),
    "synflow": criteria.SynFlow(),
    "prospr": criteria.ProsPr(steps=1),
    "ntk_sap": criteria.NTKSAP(examples=4),
    "phew": criteria.PHEW(),
}
STRUCTURES = ("unstructured", "2:4", "block:4x1", "filter")
DISTRIBUTIONS = ("global", "uniform", "erk", "er", "smart_ratio", {"a": 0.25})
SCHEDULES = {
    "one_shot": "one_shot",
    "iterative": "iterative:3",
    "linear": Iterative(2, "linear"),
    "progressive": Progressive(lambda step: step / 2, steps=2),
}
SPARSITY = 0.5


@functools.cache
def network():
    keras.utils.set_random_seed(0)
    layers = [L.Dense(8, activation="tanh", name="a"), L.Dense(8, activation="tanh", name="b"), L.Dense(4, name="c")]
    return keras.Sequential([keras.Input((8,)), *layers])


DATA = np.random.default_rng(0).standard_normal((8, 8)).astype("float32"), np.arange(8) % 4


def why_not(criterion, structure, distribution):
    """What the error says where the choices do not go together; None where they do."""
    if structure == "2:4":
        return "2:4 itself says how many weights stay in each group"
    if criterion == "phew" and (structure != "unstructured" or distribution != "global"):
        return "PHEW says itself how many single weights each layer keeps"
    return None


def prune(criterion, **choices):
    return tf_pai.prune_at_init(network(), CRITERIA[criterion], SPARSITY, data=DATA, seed=0, **choices)


@pytest.mark.parametrize("criterion", CRITERIA)
@pytest.mark.parametrize("structure", STRUCTURES)
@pytest.mark.parametrize("distribution", DISTRIBUTIONS, ids=str)
def test_criterion_structure_and_distribution(criterion, structure, distribution):
    choices = {"structure": structure, "distribution": distribution}
    reason = why_not(criterion, structure, distribution)
    if reason:
        with pytest.raises(ValueError, match=reason):
            prune(criterion, **choices)
        return
    masks = tf_pai.get_masks(prune(criterion, **choices))
    kernels = {path: mask for path, mask in masks.items() if mask.ndim == 2}
    total = sum(mask.size for mask in kernels.values())
    element = {"unstructured": 1, "block:4x1": 4, "filter": 8}[structure]
    asked = total / 2 if isinstance(distribution, str) else 0.75 * 64 + (total - 64) / 2
    slack = (element - 1) * (1 if distribution == "global" else len(kernels))  # each budget is met to one element
    assert abs(sum(int(mask.sum()) for mask in kernels.values()) - asked) <= slack
    if distribution != "global":
        assert all(mask.any() for mask in kernels.values())


@pytest.mark.parametrize("criterion", CRITERIA)
@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("structure", ["unstructured", "block:4x1"])
def test_criterion_and_schedule(criterion, schedule, structure):
    choices = {"schedule": SCHEDULES[schedule], "structure": structure}
    reason = why_not(criterion, structure, "global")
    if reason:
        with pytest.raises(ValueError, match=reason):
            prune(criterion, **choices)
    else:
        masks = tf_pai.get_masks(prune(criterion, **choices))
        assert sum(int(mask.sum()) for mask in masks.values()) == 80


@pytest.mark.parametrize("criterion", sorted(set(CRITERIA) - {"phew"}))
def test_criterion_and_n_of_m(criterion):
    masks = tf_pai.get_masks(tf_pai.prune_at_init(network(), CRITERIA[criterion], data=DATA, structure="2:4", seed=0))
    assert all((mask.reshape(-1, 4, mask.shape[1]).sum(axis=1) == 2).all() for mask in masks.values())


@pytest.mark.parametrize(
    ("choices", "reason"),
    [
        ({"distribution": "erk"}, "distribution='erk', schedule=None, min_keep=0. Leave them out"),
        ({"schedule": "iterative:3"}, "schedule='iterative:3'"),
        ({"min_keep": 3}, "min_keep=3"),
        ({"sparsity": 0.9}, "The pattern 2:4 has sparsity 0.5. Received: sparsity=0.9"),
    ],
)
def test_n_of_m_says_all_there_is_to_say(choices, reason):
    with pytest.raises(ValueError, match=reason):
        tf_pai.prune_at_init(network(), "magnitude", structure="2:4", **choices)


def test_every_registered_static_method_is_deterministic_and_exact():
    for info in tf_pai.list_methods("static"):
        runs = [
            tf_pai.get_masks(tf_pai.prune_at_init(network(), info.name, 0.75, data=DATA, seed=seed)) for seed in (5, 5)
        ]
        assert sum(int(mask.sum()) for mask in runs[0].values()) == 40, info.name
        assert all((runs[0][path] == runs[1][path]).all() for path in runs[0]), info.name
