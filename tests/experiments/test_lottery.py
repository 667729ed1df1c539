"""Tables, plots and verdicts of tickets, on the embedded digits."""

import dataclasses
import json

import pytest

from experiments import early_bird, lottery, papers, rewinding, sanity
from experiments.lottery import Lottery
from experiments.papers import Papers
from experiments.rewinding import Rewinding
from experiments.sanity import Sanity

SMALL = {"epochs": 1, "seeds": 2, "width": 0.1, "deterministic": False}


def test_levels_controls_and_verdicts(tmp_path, capsys):
    config = Lottery(**SMALL, rounds=1, sparsity=0.5, control_densities=(0.5,), runs=str(tmp_path))
    lottery.main(config)
    out = capsys.readouterr().out
    assert "│ 1     │  0.5000 │" in out and "density 0.5000" in out and "re-initialized" in out
    (file,) = tmp_path.glob("*.json")
    rows = json.loads(file.read_text())
    kinds = [(row["seed"], row["network"], row["level"]) for row in rows]
    assert kinds == [
        (seed, *kind) for seed in (0, 1) for kind in (("ticket", 0), ("ticket", 1), ("reinit", 1), ("shuffle", 1))
    ]
    assert file.with_suffix(".csv").exists() and file.with_suffix(".png").read_bytes()[:4] == b"\x89PNG"
    lottery.main(config)
    out = capsys.readouterr().out
    assert "epoch" not in out and json.loads(file.read_text()) == rows  # read, not trained


def test_one_seed_gives_no_verdict(tmp_path):
    rows = [{"seed": 0, "network": name, "level": 0, "density": 0.5, "accuracy": 0.9} for name in ("ticket", "reinit")]
    assert lottery.verdicts(Lottery(runs=str(tmp_path)), rows) == []


@pytest.mark.parametrize("method", ["snip", "lth"])
def test_verdicts_of_networks_and_tickets(method, tmp_path, capsys):
    sanity.main(Sanity(**SMALL, method=method, sparsity=0.5, checks=("reinit",), runs=str(tmp_path)))
    assert f"{method}, sparsity 0.5, 2 seeds" in capsys.readouterr().out
    (file,) = tmp_path.rglob("verdict.txt")
    assert file.read_text().startswith("reinit: ")


def test_checks_that_need_a_ticket(tmp_path):
    with pytest.raises(ValueError, match=r"are checked by reinit, shuffle, random_ticket. Received: --checks=winning"):
        sanity.main(Sanity(checks=("winning",), deterministic=False, runs=str(tmp_path)))
    with pytest.raises(ValueError, match="two seeds or more"):
        sanity.main(Sanity(seeds=1, runs=str(tmp_path)))


def test_papers_are_compared(tmp_path, capsys):
    config = Papers(
        **{**SMALL, "seeds": 1}, methods=("lifelong",), dataset="digits", examples=200, rounds=1, batch_size=64,
        runs=str(tmp_path),
    )  # fmt: skip
    papers.main(config)
    assert "│ lifelong │" in capsys.readouterr().out


def test_early_birds_of_two_precisions(tmp_path, capsys):
    config = early_bird.EarlyBird(
        network="resnet_20", width=0.1, epochs=2, batch_size=360, deterministic=False, every="1it",
        timed_steps=1, repeats=1, options=("distance=1.0", "window=2"), runs=str(tmp_path),
    )  # fmt: skip
    early_bird.main(config)
    out = capsys.readouterr().out
    assert "float32" in out and "33.3 %" in out and "shrunk network / dense" in out


def test_rewound_tickets_beside_reset_ones(tmp_path, capsys):
    config = Rewinding(**SMALL, rewind_to="1it", rounds=1, sparsity=0.5, runs=str(tmp_path))
    rewinding.main(config)
    out = capsys.readouterr().out
    assert "rewound to 1it" in out and "0.5000" in out and "[" in out
    assert {config.arm(step).one(0).folder for step in ("1it", "0it")} <= set(tmp_path.iterdir())
    with pytest.raises(ValueError, match="Received: --seeds=0"):
        rewinding.main(Rewinding(seeds=0, runs=str(tmp_path)))
    with pytest.raises(ValueError, match="Received: --rewind_to=0it"):
        rewinding.main(Rewinding(rewind_to="0it", runs=str(tmp_path)))


def test_where_weights_are_pruned_is_an_argument_of_the_search(tmp_path):
    """At 90 %, one threshold for all layers leaves each another part; "uniform" leaves each the same."""
    config = Lottery(**{**SMALL, "seeds": 1}, rounds=1, sparsity=0.9, distribution="uniform", runs=str(tmp_path))
    assert lottery.search_options(config) == {"distribution": "uniform", "options": {}}
    lottery.main(dataclasses.replace(config, controls=()))
    (file,) = tmp_path.rglob("ticket.json")
    assert json.loads(file.read_text())["distribution"] == "uniform"
    options = ("rounds=1", "distribution=global")
    sanity.main(Sanity(**SMALL, method="lth", sparsity=0.5, checks=("reinit",), options=options, runs=str(tmp_path)))
    asked = [json.loads(found.read_text()) for found in tmp_path.rglob("ticket.json")]
    assert {"global", "uniform"} == {call["distribution"] for call in asked} and all(c["rounds"] == 1 for c in asked)


def test_controls_where_only_the_ticket_has_known_masks(tmp_path, capsys):
    lottery.main(Lottery(**{**SMALL, "seeds": 1}, method="dlth", controls=("shuffle",), runs=str(tmp_path)))
    assert "│ 1     │" in capsys.readouterr().out
