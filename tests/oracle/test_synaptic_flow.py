"""SNIP, GraSP, SynFlow and magnitude against ganguli-lab/Synaptic-Flow: scores, one-shot masks, iterative masks."""

import numpy as np
import pytest

import tf_pai
from tests.oracle.nets import assert_same_masks, assert_same_scores, by_path, cases, golden, load
from tf_pai import criteria
from tf_pai.schedules import Iterative
from tf_pai.topk import keep_highest

CASES = cases("synaptic_flow")
DENSITIES = (0.5, 0.1, 0.02)


def criterion(name, revives=False):
    """The criterion of a prefix such as "snip_train_f64"; nets without BatchNorm have neither _train nor _eval."""
    training = "_train" in name
    return {
        "snip": lambda: criteria.SNIP(training, revives),
        "grasp": lambda: criteria.GraSP(training=training, revives=revives),
        "synflow": lambda: criteria.SynFlow(training),
        "mag": criteria.Magnitude,
    }[name.split("_")[0]]()


def prefixes(stored):
    return sorted({key.split("/")[0] for key in stored.files})


@pytest.mark.parametrize("case", CASES)
def test_scores(case):
    stored = golden(f"{case}__synaptic_flow.npz")
    model, data = load(case)
    for prefix in prefixes(stored):
        wanted = by_path(stored, f"{prefix}/scores")
        if not wanted:
            continue
        got = tf_pai.score(model, criterion(prefix), data=data)
        normalised = prefix.startswith(("snip", "grasp"))  # these are divided by their sum there
        in_train_mode = prefix.startswith("grasp_train")
        assert_same_scores(got, wanted, 1e-3 if in_train_mode else 2e-6, up_to_scale=normalised)


@pytest.mark.parametrize("case", CASES)
def test_one_shot_masks(case):
    stored = golden(f"{case}__synaptic_flow.npz")
    model, data = load(case)
    for prefix in prefixes(stored):
        if not by_path(stored, f"{prefix}/scores"):
            continue
        scores = tf_pai.score(model, criterion(prefix), data=data)
        for density in DENSITIES:
            key = f"{prefix}/oneshot_rho{density}"
            if stored[f"{key}/margin"] > 1e-5:
                masks = keep_highest(list(scores.values()), int(stored[f"{key}/kept"]))
                assert_same_masks(dict(zip(scores, masks, strict=True)), by_path(stored, f"{key}/mask"))


def pruned(case, method, counts):
    model, data = load(case)
    total = sum(v.size for v in tf_pai.score(model, "magnitude").values())
    sparsity = 1 - counts[-1] / total
    model = tf_pai.prune_at_init(model, method, sparsity, data=data, schedule=Iterative(counts=counts))
    return tf_pai.get_masks(model)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("density", [0.1, 0.01])
def test_synflow_in_100_rounds(case, density):
    stored = golden(f"{case}__synaptic_flow.npz")
    key = f"synflow/iter100_rho{density}"
    counts = [int(n) for n in stored[f"{key}/kept_per_iter"]]
    assert_same_masks(pruned(case, "synflow", counts), by_path(stored, f"{key}/mask"))


def counts_of(stored, key, densities):
    """What the reference keeps: it prunes int((1 - density) * N)."""
    total = sum(mask.size for mask in by_path(stored, f"{key}/mask").values())
    return [total - int((1.0 - density) * total) for density in densities]


@pytest.mark.parametrize("case", CASES)
def test_synflow_in_linear_rounds(case):
    stored = golden(f"{case}__synaptic_flow.npz")
    key = "synflow/linear10_rho0.1"
    counts = counts_of(stored, key, [1.0 - 0.9 * ((epoch + 1) / 10) for epoch in range(10)])
    assert_same_masks(pruned(case, "synflow", counts), by_path(stored, f"{key}/mask"))


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", ["snip", "grasp"])
def test_five_rounds_in_which_pruned_weights_may_return(case, name):
    stored = golden(f"{case}__synaptic_flow.npz")
    for prefix in prefixes(stored):
        key = f"{prefix}/iter5_rho0.1"
        if prefix.startswith(name) and by_path(stored, f"{key}/mask"):
            counts = counts_of(stored, key, [0.1 ** ((epoch + 1) / 5) for epoch in range(5)])
            masks = pruned(case, criterion(prefix, revives=True), counts)
            assert_same_masks(masks, by_path(stored, f"{key}/mask"))


@pytest.mark.parametrize("case", CASES)
def test_local_magnitude(case):
    stored = golden(f"{case}__synaptic_flow.npz")
    wanted = by_path(stored, "mag/local_rho0.1/mask")
    model, _ = load(case)
    for path, score in tf_pai.score(model, "magnitude").items():
        mask = keep_highest([score], int(wanted[path].sum()))[0]
        assert (mask == wanted[path].astype(bool)).all()


@pytest.mark.parametrize("case", CASES)
def test_the_public_call_gives_the_mask_of_the_same_count(case):
    stored = golden(f"{case}__synaptic_flow.npz")
    model, data = load(case)
    for prefix in prefixes(stored):
        key = f"{prefix}/oneshot_rho0.1"
        if f"{key}/kept" in stored.files:
            wanted = by_path(stored, f"{key}/mask")
            sparsity = 1 - int(stored[f"{key}/kept"]) / sum(mask.size for mask in wanted.values())
            got = tf_pai.prune_at_init(model, criterion(prefix), sparsity, data=data, schedule="one_shot")
            assert_same_masks(tf_pai.get_masks(got), wanted)
            assert np.isclose(tf_pai.sparsity(got), sparsity)
