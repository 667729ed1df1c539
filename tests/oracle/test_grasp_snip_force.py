"""Official GraSP, mi-lad's SNIP, and naver's Iter-SNIP, GRASP-It and FORCE."""

import re

import numpy as np
import pytest
import tensorflow as tf

import tf_pai
from tests.oracle.nets import assert_same_masks, assert_same_scores, by_path, cases, golden, load
from tf_pai import criteria
from tf_pai.schedules import Iterative
from tf_pai.topk import keep_highest

CASES = cases("grasp_snip_force")


class GRASPIt(criteria.Criterion):
    """s = g^2: a criterion of the user's own, which is all that GRASP-It takes."""

    training = True

    def score(self, problem, masks):
        gradients = problem.gradients(problem.masked(masks), self.training)
        return problem.arrays([tf.square(g) for g in gradients])


def halves(data):
    """The two batches that official GraSP cuts its batch into, each with a mean loss of its own."""
    return tf.data.Dataset.from_tensor_slices(data).batch(len(data[0]) // 2)


def prefixes(stored, start):
    return sorted({key.split("/")[0] for key in stored.files if re.match(start, key)})


@pytest.mark.parametrize("case", CASES)
def test_official_grasp(case):
    stored = golden(f"{case}__grasp_snip_force.npz")
    model, data = load(case)
    for prefix in prefixes(stored, r"grasp(_T1)?(_train|_eval)?(_T1)?/"):
        temperature, training = 1 if "T1" in prefix else 200, not prefix.endswith("_eval")
        criterion = criteria.GraSP(temperature=temperature, training=training)
        scores = tf_pai.score(model, criterion, data=halves(data), batches=2)
        official = by_path(stored, f"{prefix}/scores")  # -w * Hg, divided by its sum
        if official:
            wanted = {path: -score for path, score in official.items()}
            assert_same_scores(scores, wanted, 1e-3 if "_train" in prefix else 2e-6, up_to_scale=True)
        for ratio in (0.5, 0.9, 0.98):
            wanted = by_path(stored, f"{prefix}/ratio{ratio}/mask")
            if wanted:
                kept = sum(int(mask.sum()) for mask in wanted.values())
                masks = keep_highest(list(scores.values()), kept)
                assert_same_masks(dict(zip(scores, masks, strict=True)), wanted)


@pytest.mark.parametrize("case", CASES)
def test_mi_lad_snip(case):
    stored = golden(f"{case}__grasp_snip_force.npz")
    model, data = load(case)
    scores = tf_pai.score(model, criteria.SNIP(training=True), data=data)
    for keep in (0.5, 0.1, 0.02):
        wanted = by_path(stored, f"snip_milad/keep{keep}/mask")
        masks = keep_highest(list(scores.values()), int(stored[f"snip_milad/keep{keep}/kept"]))
        assert_same_masks(dict(zip(scores, masks, strict=True)), wanted)


CRITERIA = {"iter_snip": criteria.IterSNIP, "force": criteria.FORCE, "grasp_it": GRASPIt}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", CRITERIA)
def test_naver(case, name):
    stored = golden(f"{case}__grasp_snip_force.npz")
    model, data = load(case)
    for prefix in prefixes(stored, name):
        criterion = CRITERIA[name]()
        criterion.training = not prefix.endswith("_eval")
        for keep in (0.1, 0.02):
            for steps in (5, 20):
                key = f"{prefix}/keep{keep}_steps{steps}"
                wanted = by_path(stored, f"{key}/mask")
                total = sum(mask.size for mask in wanted.values())
                densities = [np.exp((t + 1) * np.log(keep) / steps) for t in range(steps)]
                counts = [int(total * density) for density in densities]
                if int(stored[f"{key}/kept"]) != counts[-1]:
                    continue  # all scores were 0, and the reference kept everything (README, trap 5)
                if (name, keep, steps) == ("grasp_it", 0.02, 20):
                    continue  # units die on the way, and weights without gradient tie with the pruned ones there
                schedule = Iterative(counts=counts)
                pruned = tf_pai.prune_at_init(model, criterion, 1 - counts[-1] / total, data=data, schedule=schedule)
                assert_same_masks(tf_pai.get_masks(pruned), wanted)
