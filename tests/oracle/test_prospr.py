"""ProsPr against mil-ad/prospr: full and first order, with and without momentum, the same batch at every step."""

import re

import keras
import pytest

import tf_pai
from tests.oracle.nets import assert_same_masks, assert_same_scores, by_path, cases, golden, load
from tf_pai.criteria import ProsPr
from tf_pai.topk import keep_highest


@pytest.mark.parametrize("case", cases("prospr"))
def test_prospr(case):
    stored = golden(f"{case}__prospr.npz")
    model, data = load(case)
    has_norm = any(isinstance(layer, keras.layers.BatchNormalization) for layer in model.layers)
    for run in sorted({key.split("/")[0] for key in stored.files}):
        order, steps, rate, momentum = re.fullmatch(r"(full|first)(?:_order)?_steps(\d+)_lr(.+)_mom(.+)", run).groups()
        criterion = ProsPr(int(steps), float(rate), float(momentum), order)
        got = tf_pai.score(model, criterion, data=data)
        assert_same_scores(got, by_path(stored, f"{run}/scores"), 1e-3 if has_norm else 5e-6)
        wanted = by_path(stored, f"{run}/mask_prune0.9")
        masks = keep_highest(list(got.values()), sum(int(mask.sum()) for mask in wanted.values()))
        assert_same_masks(dict(zip(got, masks, strict=True)), wanted)
