"""Several replicas: masks and weights are the same on all, and as many are alive as with one replica."""

import os
import pathlib
import subprocess
import sys

import pytest

NAMES = ["RigL", "SET", "SNFS", "DeepR", "DNS"]


@pytest.mark.parametrize("names", [NAMES, ["RigL:sparse"]])  # collectives of one process keep to their first shapes
def test_two_replicas(names):
    root = pathlib.Path(__file__).resolve().parents[2]
    command = [sys.executable, "-m", "tests.callbacks.two_replicas", *names]
    environment = {**os.environ, "PYTHONPATH": str(root), "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.splitlines()[-len(names) :] == [f"{name} True" for name in names]
