"""experiments/supsup.py: tasks are learned, inferred, and gone on with."""

import json

import numpy as np
import pytest

from experiments import supsup
from experiments.supsup import SupSup


def test_tasks_are_learned_inferred_and_resumed(tmp_path, capsys):
    small = {"dataset": "digits", "epochs": 6, "batch_size": 32, "batches": 2, "outputs": 20, "runs": str(tmp_path)}
    supsup.main(SupSup(tasks=1, **small))
    supsup.main(SupSup(tasks=2, **small))
    out = capsys.readouterr().out
    assert out.count("task 1/") == 1 and "task 2/2" in out  # the first was learned once
    assert "2 tasks, inferred among 2" in out
    assert "the same as before the first task" in out and max(map(len, out.splitlines())) <= 80
    (file,) = tmp_path.glob("*/figures.json")
    figures = json.loads(file.read_text())
    assert figures["bytes_per_task"] == (64 * 300 + 300 * 100 + 100 * 20) // 8
    assert min(figures["given"]) > 0.7 and figures["one_shot"]["right"] >= 0.5
    assert figures["sha256_before"] == figures["sha256_after"]


def test_a_permutation_moves_pixels_only():
    images = np.random.default_rng(0).random((3, 4, 4, 1))
    assert np.array_equal(supsup.permuted(SupSup(), images, 0), images)
    moved = supsup.permuted(SupSup(), images, 1)
    assert not np.array_equal(moved, images) and np.allclose(np.sort(moved.ravel()), np.sort(images.ravel()))


@pytest.mark.parametrize("wrong", [{"tasks": 0}, {"images": 0}, {"k": 0.0}, {"k": 1.1}])
def test_wrong_settings(wrong):
    with pytest.raises(ValueError, match=r"keeps k in \(0, 1\] of the weights. Received: tasks="):
        supsup.main(SupSup(**wrong))
