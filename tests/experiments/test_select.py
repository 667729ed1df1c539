"""experiments/select.py: every cell is selected, proved untouched, and stored."""

import json

import numpy as np
import pytest

import tf_pai
from experiments import select
from experiments.select import Select
from tf_pai import networks


def test_cells_are_networks_by_methods_by_k_by_seeds():
    cells = Select(methods=("dense", "hidden"), networks=("lenet_300_100", "conv_2"), ks=(0.5, 0.1), seeds=2).cells()
    assert len(cells) == 2 * 2 * (1 + 2)
    assert [(c.network, c.methods[0], c.ks[0], c.lr) for c in cells[:3]] == [
        ("lenet_300_100", "dense", 1.0, 0.05),
        ("lenet_300_100", "hidden", 0.5, 0.1),
        ("lenet_300_100", "hidden", 0.1, 0.1),
    ]
    assert len({cell.folder for cell in cells}) == len(cells)
    with pytest.raises(ValueError, match=r"k is in \(0, 1\]"):
        Select(ks=(0.0,)).cells()


def test_runs_and_their_proof(tmp_path, capsys):
    small = {"ks": (0.5,), "seeds": 1, "epochs": 1, "width": 0.1, "batch_size": 64, "runs": str(tmp_path)}
    config = Select(methods=("hidden", "mpt_1_1", "dense"), **small)
    select.main(config)
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= 80 and "untouched" in out and " yes " in out and "NO" not in out
    (folder,) = tmp_path.glob("select-*-hidden-*")
    row = json.loads((folder / "metrics.json").read_text())
    assert row["before"] == row["after"] and row["sparsity"] == 0.5
    assert row["before"] in (folder / "report.txt").read_text()
    plain = networks.build("lenet_300_100", input_shape=(8, 8, 1), classes=10, width=0.1)
    loaded = tf_pai.load_ticket(plain, folder / "ticket.npz")
    assert select.frozen_digest(loaded) == row["after"]
    (dense,) = tmp_path.glob("select-*-dense-*")
    assert not json.loads((dense / "metrics.json").read_text())["untouched"]  # the proof can fail
    select.main(config)  # finished runs are read
    assert "epoch" not in capsys.readouterr().out


def test_a_changed_weight_changes_the_digest():
    model = tf_pai.select_subnet(networks.build("lenet_300_100", input_shape=(8, 8, 1), classes=10, width=0.1), seed=0)
    before = select.frozen_digest(model)
    kernel = next(layer for layer in model.layers if hasattr(layer, "scores") and layer.scores).kernel
    kernel.assign(kernel.numpy() + np.eye(*kernel.shape) * 1e-7)
    assert select.frozen_digest(model) != before
