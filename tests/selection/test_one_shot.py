"""one_shot_supermask: Zhou's criteria on whole models."""

import keras
import numpy as np
import pytest

import tf_pai
from tests.oracle.nets import golden
from tf_pai.layers import weights_of
from tf_pai.selection import KEPT_ACTIONS, MASK_CRITERIA, one_shot_supermask

L = keras.layers


def nets():
    """The golden file's network before and after training; the output layer has a sparsity of its own there."""
    stored = golden("mlp_s0__zhou_mask_criteria.npz")
    models = []
    for when in ("init", "final"):
        first, second = (stored[f"{when}/{name}"] for name in ("fc1", "fc2"))
        layers = [L.Dense(first.shape[1], "relu", name="fc1"), L.Dense(second.shape[1], name="fc2")]
        model = keras.Sequential([keras.Input((first.shape[0],)), *layers])
        weights_of(model)["fc1/kernel"].assign(first)
        weights_of(model)["fc2/kernel"].assign(second)
        models.append(model)
    return models


@pytest.mark.parametrize("criterion", [name for name in MASK_CRITERIA if "sign" not in name])  # these have ties
def test_masks_are_those_of_the_authors(criterion):
    stored = golden("mlp_s0__zhou_mask_criteria.npz")
    wanted = {name: stored[f"{criterion}/power1/mask/{name}"].astype(bool) for name in ("fc1", "fc2")}
    initial, final = nets()
    for name, mask in wanted.items():
        model = one_shot_supermask(initial, final, criterion, 1 - float(mask.mean()))
        assert np.array_equal(tf_pai.get_masks(model)[f"{name}/kernel"], mask)


@pytest.mark.parametrize("kept", KEPT_ACTIONS)
def test_mask_1_actions(kept):
    initial, final = nets()
    model = one_shot_supermask(initial, final, sparsity=0.75, kept=kept, seed=1)
    assert tf_pai.verify(model) and tf_pai.sparsity(model) == pytest.approx(0.75)
    old, mask = weights_of(initial)["fc1/kernel"].numpy(), tf_pai.get_masks(model)["fc1/kernel"]
    new = weights_of(model)["fc1/kernel"].numpy()
    if kept == "rewind":
        assert np.array_equal(new, old * mask)
    if kept == "constant":
        assert np.allclose(new, np.sign(old) * old.std() * mask)
    if kept == "reshuffle":
        assert not np.array_equal(new, old * mask) and np.array_equal(np.sort(new[mask]), np.sort(old[mask]))
    if kept == "reinit":
        assert not np.array_equal(new, old * mask) and np.isin(new[mask], old).all()


def test_pruned_weights_that_grew_stay_at_their_initial_value():
    initial, final = nets()
    model = one_shot_supermask(initial, final, sparsity=0.75, freeze_pruned=True)
    mask = tf_pai.get_masks(one_shot_supermask(initial, final, sparsity=0.75))["fc1/kernel"]
    old, new, trained = (weights_of(m)["fc1/kernel"].numpy() for m in (initial, model, final))
    assert np.array_equal(new != 0, mask | (abs(trained) >= abs(old))) and (new[new != 0] == old[new != 0]).all()
    assert not tf_pai.get_masks(model)


def test_errors():
    initial, final = nets()
    with pytest.raises(ValueError, match="Did you mean 'large_final'"):
        one_shot_supermask(initial, final, "large_finals")
    with pytest.raises(ValueError, match="Did you mean 'rewind'"):
        one_shot_supermask(initial, final, kept="rewnd")
    for sparsity in (1, "half", None):
        with pytest.raises(ValueError, match=rf"in \[0, 1\). Received: sparsity={sparsity!r}"):
            one_shot_supermask(initial, final, sparsity=sparsity)
    with pytest.raises(ValueError, match="A seed is an integer, 0 or more. Received: seed=-1"):
        one_shot_supermask(initial, final, seed=-1)
    with pytest.raises(ValueError, match="the same weights"):
        one_shot_supermask(initial, keras.Sequential([keras.Input((3,)), L.Dense(2)]))
    with pytest.raises(ValueError, match="without masks"):
        one_shot_supermask(tf_pai.prune_at_init(initial, "random", 0.5, verbose=0), final)
