"""Magnitude, saliency, N:M, blocks and global pruning against google-research/jaxpruner, and its cubic schedule."""

import keras
import numpy as np
import pytest

import tf_pai
from tests.oracle.nets import assert_same_masks, by_path, golden
from tf_pai.criteria import Criterion
from tf_pai.schedules import Progressive
from tf_pai.structures import NM
from tf_pai.topk import keep_highest

SPARSITIES = (0.5, 0.8, 0.9, 0.95, 0.99)


def cases(stored):
    return sorted({key.split("/")[0] for key in stored.files if key.startswith("case")})


def dense_layer(weights):
    model = keras.Sequential([keras.Input((weights.shape[0],)), keras.layers.Dense(weights.shape[1], name="fc")])
    model.layers[0].kernel.assign(weights)
    return model


def mask_of(weights, sparsity=None, **choices):
    model = tf_pai.prune_at_init(dense_layer(weights), "magnitude", sparsity, **choices)
    return tf_pai.get_masks(model)["fc/kernel"]


@pytest.mark.parametrize("sparsity", SPARSITIES)
def test_magnitude_and_saliency_per_tensor_with_ties(sparsity):
    stored = golden("jaxpruner.npz")
    for case in cases(stored):
        weights, gradient = stored[f"{case}/weights"], stored[f"{case}/grad"]
        wanted = stored[f"{case}/magnitude_s{sparsity}"].astype(bool)
        assert (mask_of(weights, 1 - wanted.mean(), distribution="uniform") == wanted).all()
        assert (weights * wanted == stored[f"{case}/ste_forward_s{sparsity}"]).all()
        wanted = stored[f"{case}/saliency_s{sparsity}"].astype(bool)
        assert (keep_highest([np.abs(gradient * weights)], int(wanted.sum()))[0] == wanted).all()


@pytest.mark.parametrize("n", [1, 2])
def test_n_of_4_along_the_last_axis(n):
    stored = golden("jaxpruner.npz")
    for case in cases(stored):
        if stored[f"{case}/ties"]:
            continue  # jaxpruner's N:M, unlike its other masks, keeps the higher index
        mask = mask_of(stored[f"{case}/weights"], structure=NM(n, 4, axis=-1))
        assert (mask == stored[f"{case}/nm_{n}_4"].astype(bool)).all()


@pytest.mark.parametrize("block", ["4x1", "1x4", "4x4"])
def test_blocks_by_their_mean(block):
    stored = golden("jaxpruner.npz")
    for case in cases(stored):
        wanted = stored[f"{case}/block_{block}_avg_s0.75"].astype(bool)
        mask = mask_of(stored[f"{case}/weights"], 1 - wanted.mean(), structure=f"block:{block}")
        assert (mask == wanted).all()


class NormalisedMagnitude(Criterion):
    """s = |w| / ||w||_2 of the tensor: what jaxpruner's global pruners rank by."""

    needs_data = needs_labels = False

    def score(self, problem, masks):
        return {path: np.abs(w) / np.linalg.norm(w) for path, w in problem.values().items()}


@pytest.mark.parametrize(("method", "key"), [("magnitude", "mask_unnormalised"), (NormalisedMagnitude(), "mask")])
@pytest.mark.parametrize("sparsity", [0.5, 0.9, 0.98])
def test_global_magnitude(method, key, sparsity):
    stored = golden("jaxpruner.npz")
    a, b, c = (stored[f"global/w/{name}"] for name in "abc")
    inputs = [keras.Input((20,)), keras.Input((8, 8, 8)), keras.Input((16,))]
    layers = [keras.layers.Dense(32, name="a"), keras.layers.Conv2D(16, 3, name="b"), keras.layers.Dense(5, name="c")]
    model = keras.Model(inputs, [layer(x) for layer, x in zip(layers, inputs, strict=True)])
    for layer, weights in zip(layers, (a, b, c), strict=True):
        layer.kernel.assign(weights)
    wanted = by_path(stored, f"global/{key}_s{sparsity}")
    kept = sum(int(mask.sum()) for mask in wanted.values())
    pruned = tf_pai.prune_at_init(model, method, 1 - kept / (a.size + b.size + c.size))
    assert_same_masks(tf_pai.get_masks(pruned), wanted)


@pytest.mark.parametrize("power", [1, 3])
def test_polynomial_schedule(power):
    stored = golden("jaxpruner_polynomial_schedule.json")

    def sparsity_at(step):
        return 0.9 * (1 - (1 - np.clip((step + 1 - 20) / 100, 0, 1)) ** power)

    schedule = Progressive(sparsity_at, steps=stored["steps"])
    densities = schedule.densities(0.1, total=1000)
    assert np.allclose([1 - d for d in densities], stored[f"power{power}"], atol=1e-6)
