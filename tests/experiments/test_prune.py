"""The main program, killed for real: its processes end by SIGKILL in the middle and at the end of an epoch."""

import json
import signal
import subprocess
import sys

import numpy as np
import pytest

from experiments import prune
from experiments.settings import Settings
from tests.structure.imports import ROOT

SETTINGS = {"epochs": 3, "width": 0.1, "score_per_class": 2}
KILLING = """
import os, signal, sys
from experiments import config, prune, running

class Killing(running.TrainingProgress):
    def on_train_batch_end(self, batch, logs=None):
        if (self.epoch, batch) == {where}:
            os.kill(os.getpid(), signal.SIGKILL)

    def on_epoch_begin(self, epoch, logs=None):
        super().on_epoch_begin(epoch)
        if (epoch, None) == {where}:
            os.kill(os.getpid(), signal.SIGKILL)

running.TrainingProgress = Killing
config.launch(prune.Prune, prune.main)
"""


def process(runs, where=None, **more):
    """Runs the program, which kills itself at (epoch, batch); batch None: between two epochs."""
    given = [f"--{name}={value}" for name, value in {**SETTINGS, "runs": runs, **more}.items()]
    code = ["-m", "experiments.prune"] if where is None else ["-c", KILLING.format(where=where)]
    return subprocess.run([sys.executable, *code, *given], capture_output=True, text=True, cwd=ROOT)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The settings of a run that nobody killed."""
    runs = tmp_path_factory.mktemp("whole")
    done = process(runs)
    assert done.returncode == 0, done.stderr
    return Settings(**SETTINGS, runs=str(runs)), done.stdout


def test_folder_holds_everything(whole):
    settings, out = whole
    names = {path.name for path in settings.folder.iterdir()}
    assert names >= {"config.json", "metrics.jsonl", "tensorboard", "masks.npz", "model.keras"}
    assert names >= {"report.txt", "report.json", "report.html", "metrics.json"}
    assert json.loads((settings.folder / "config.json").read_text())["epochs"] == 3
    metrics = json.loads((settings.folder / "metrics.json").read_text())
    assert round(metrics["sparsity"], 3) == 0.9 and {"accuracy", "untrained_dense_accuracy"} <= set(metrics)
    assert "train epoch 3/3" in out and "total" in out
    assert max(map(len, out.splitlines()[:-1])) <= 80
    assert "http" not in (settings.folder / "report.html").read_text().replace("http://www.w3.org", "")


def test_finished_run_is_not_run_again(whole, capsys):
    settings, _ = whole
    before = (settings.folder / "model.keras").read_bytes()
    prune.main(prune.Prune(**SETTINGS, runs=settings.runs))
    assert "This run was finished before, and was not run again" in capsys.readouterr().out
    assert (settings.folder / "model.keras").read_bytes() == before


def test_killed_twice_it_ends_as_if_never_killed(whole, tmp_path):
    settings = Settings(**SETTINGS, runs=str(tmp_path))
    for where in ((1, 4), (2, None)):
        assert process(tmp_path, where).returncode == -signal.SIGKILL
        assert not (settings.folder / "metrics.json").exists()
    assert process(tmp_path).returncode == 0
    ours, theirs = (s.folder for s in (settings, whole[0]))
    with np.load(ours / "state/train/checkpoint.npz") as a, np.load(theirs / "state/train/checkpoint.npz") as b:
        for name in a.files:
            np.testing.assert_array_equal(a[name], b[name])
    assert (ours / "metrics.jsonl").read_text() == (theirs / "metrics.jsonl").read_text()
    assert (ours / "masks.npz").read_bytes() == (theirs / "masks.npz").read_bytes()


def test_what_the_user_got_wrong_is_one_message(tmp_path):
    done = process(tmp_path, method="grsap")
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert "Did you mean 'grasp'?" in " ".join(done.stderr.split())
    assert max(map(len, done.stderr.splitlines())) <= 80 and not list(tmp_path.iterdir())
