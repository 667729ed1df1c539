"""Edge-popup, SupSup, biprop and Zhou's mask criteria against the authors' code."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.oracle.nets import golden
from tf_pai.layers import prunable_weights
from tf_pai.selection import MASK_CRITERIA, Hidden, MultiPrize, SupSup, mask_by

FRACTIONS = ("0.5", "0.3", "0.1", "0.05", "0.7", "0.9")


@pytest.mark.parametrize("k", FRACTIONS)
@pytest.mark.parametrize("case", ["case0", "case1", "case2"])
def test_top_k_of_the_magnitudes(case, k):
    stored = golden("edgepopup_supsup_biprop.npz")
    scores, wanted = stored[f"{case}/scores"], stored[f"{case}/k{k}/mask"].astype(bool)
    # The authors prune int((1 - k) n), which may keep one more than round(k n); the count is theirs here.
    mask = Hidden().mask(None, tf.constant(scores), int(stored[f"{case}/k{k}/kept"]), "unstructured").numpy() != 0
    if not stored[f"{case}/ties"]:
        assert np.array_equal(mask, wanted)
        assert np.array_equal(np.sign(scores) * mask, stored[f"{case}/k{k}/signed_mask"])
    assert mask.sum() == wanted.sum()
    assert sorted(np.abs(scores)[mask]) == sorted(np.abs(scores)[wanted])


@pytest.mark.parametrize("case", ["case0", "case1", "case2"])
def test_the_mask_of_supsup(case):
    stored = golden("edgepopup_supsup_biprop.npz")
    scores, wanted = stored[f"{case}/scores"], stored[f"{case}/fast_mask_ge0"].astype(bool)
    # The authors keep what is not negative: the count is theirs here.
    mask = SupSup().mask(None, tf.constant(scores), int(wanted.sum()), "unstructured").numpy() != 0
    assert np.array_equal(mask, wanted)


@pytest.mark.parametrize("k", ["0.5", "0.2"])
@pytest.mark.parametrize(("rule", "name"), [(Hidden(), "edgepopup"), (MultiPrize(), "biprop")])
def test_convolution_and_gradient_of_its_scores(rule, name, k):
    data = golden("edgepopup_supsup_biprop.npz")
    case = {key: data[f"{name}_conv_k{k}/{key}"] for key in ("weight", "scores", "x", "upstream", "y", "grad_scores")}
    layer = keras.layers.Conv2D(6, 3, padding="same", use_bias=False)
    layer.build(case["x"].shape)
    (weight,) = prunable_weights(layer).values()
    scores, w = tf.constant(case["scores"]), tf.constant(case["weight"])
    keep = w.shape.num_elements() - int((1 - float(k)) * w.shape.num_elements())
    # The authors' alpha divides by int(k n), which is one less than they keep at k = 0.2.
    factor = keep / int(float(k) * w.shape.num_elements()) if name == "biprop" else 1.0
    mask = rule.mask(weight, scores, keep, "unstructured")
    with tf.GradientTape() as tape:
        tape.watch(scores)
        y = tf.nn.conv2d(case["x"], rule.effective(w, scores, tf.cast(mask, tf.float32)), 1, "SAME")
        loss = tf.reduce_sum(y * case["upstream"])
    assert np.abs(factor * y - case["y"]).max() <= 2e-6 * np.abs(case["y"]).max()
    gradient = tape.gradient(loss, scores)
    assert np.abs(gradient - case["grad_scores"]).max() <= 2e-6 * np.abs(case["grad_scores"]).max()


@pytest.mark.parametrize("criterion", MASK_CRITERIA)
@pytest.mark.parametrize("power", [1, 3])
def test_mask_criteria_of_zhou(criterion, power):
    stored = golden("mlp_s0__zhou_mask_criteria.npz")
    for layer in ("fc1", "fc2", "fc3"):
        initial, final = stored[f"init/{layer}"], stored[f"final/{layer}"]
        wanted = stored[f"{criterion}/power{power}/mask/{layer}"].astype(bool)
        mask = mask_by(criterion, initial, final, wanted.mean())
        score = MASK_CRITERIA.find(criterion)(initial, final)
        decided = score != score[mask].min() if "sign" in criterion else np.ones(score.shape, bool)  # ties: at random
        assert mask.sum() == wanted.sum()
        assert np.array_equal(mask[decided], wanted[decided])
