"""Magnitude pruning after training."""

import numpy as np
import pytest

import tf_pai
from tests.training.models import small_data, small_model
from tf_pai.registry import METHODS
from tf_pai.training import Job


def job(**options):
    return Job(
        lambda: small_model(pruned=False),
        "magnitude_after_training",
        0.75,
        small_data(),
        epochs=2,
        batch_size=8,
        options=options,
    )


def run(**options):
    return METHODS.find("magnitude_after_training").make(job(**options))


def test_keeps_the_highest_trained_weights():
    dense = job().model()
    job().fit(dense)
    trained = {name: np.abs(np.asarray(dense.get_layer(name).kernel)) for name in ("one", "two")}
    masks = tf_pai.get_masks(run())
    kept = np.concatenate([trained[name][masks[f"{name}/kernel"]] for name in trained])
    pruned = np.concatenate([trained[name][~masks[f"{name}/kernel"]] for name in trained])
    assert len(kept) == 18 and kept.min() >= pruned.max()


def test_rounds_reach_the_same_sparsity():
    stages = []
    several = Job(**{**vars(job(rounds=3, finetune_epochs=1)), "callbacks": lambda stage: stages.append(stage) or []})
    model = METHODS.find("magnitude_after_training").make(several)
    assert stages == ["dense", "finetune1", "finetune2", "finetune3"]
    assert tf_pai.sparsity(model) == 0.75
    assert int(model.optimizer.iterations) == 3, "each finetuning has an optimizer of its own"


def test_unknown_option():
    with pytest.raises(ValueError, match=r"Unknown option of 'magnitude_after_training'. Received: round=3. Valid"):
        run(round=3)


def test_finetuning_can_be_left_out():
    assert tf_pai.verify(run(finetune_epochs=0))
