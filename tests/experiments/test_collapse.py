"""Layer collapse."""

import json

import numpy as np

import tf_pai
from experiments import collapse
from tf_pai import networks


def test_counts_are_those_of_the_masks():
    model = networks.build("conv_2", input_shape=(16, 16, 3), classes=10, width=0.1, seed=0)
    data = np.random.default_rng(0).standard_normal((10, 16, 16, 3)).astype("float32"), np.arange(10)
    for method, rounds in (("snip", 1), ("magnitude", 1), ("synflow", 5)):
        counts = collapse.fewest_kept(model, method, rounds, [0.5, 0.01], data, seed=0)
        schedule = f"iterative:{rounds}" if rounds > 1 else "one_shot"
        for density, count in zip([0.5, 0.01], counts, strict=True):
            pruned = tf_pai.prune_at_init(model, method, 1 - density, data=data, schedule=schedule, seed=0)
            assert count == min(int(mask.sum()) for mask in tf_pai.get_masks(pruned).values())


def test_table(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(collapse, "METHODS", {"magnitude": ("magnitude", 1), "SynFlow 2": ("synflow", 2)})
    config = collapse.Collapse(network="conv_2", width=0.1, side=16, images=10, exponents=(1, 2), runs=str(tmp_path))
    collapse.main(config)
    assert max(map(len, capsys.readouterr().out.splitlines()[:-1])) <= 80
    (file,) = tmp_path.glob("*.json")
    rows = json.loads(file.read_text())
    assert [row["exponent"] for row in rows] == [1, 2]
    assert rows[0]["magnitude"] >= rows[1]["magnitude"]
