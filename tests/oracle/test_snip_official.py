"""SNIP against namhoonlee/snip-public, which ranks biases too: its kernel sensitivities up to scale."""

import pytest

import tf_pai
from tests.oracle.nets import assert_same_masks, assert_same_scores, cases, golden, load
from tf_pai.topk import keep_highest


@pytest.mark.parametrize("case", cases("snip_official_tf1"))
def test_kernel_sensitivities(case):
    stored = golden(f"{case}__snip_official_tf1.npz")
    model, data = load(case)
    got = tf_pai.score(model, "snip", data=data)
    wanted = {path: stored[f"snip_official/cs/{path}"] for path in got}
    assert_same_scores(got, wanted, 2e-6, up_to_scale=True)


@pytest.mark.parametrize("case", cases("snip_official_tf1"))
@pytest.mark.parametrize("sparsity", [0.5, 0.9, 0.98])
def test_the_kernels_part_of_the_masks(case, sparsity):
    stored = golden(f"{case}__snip_official_tf1.npz")
    model, data = load(case)
    scores = tf_pai.score(model, "snip", data=data)
    wanted = {path: stored[f"snip_official/sparsity{sparsity}/mask/{path}"] for path in scores}
    masks = keep_highest(list(scores.values()), sum(int(mask.sum()) for mask in wanted.values()))
    assert_same_masks(dict(zip(scores, masks, strict=True)), wanted)
