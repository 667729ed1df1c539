"""experiments/select_overhead.py: a row per network, with a ratio."""

from experiments import select_overhead
from experiments.select_overhead import Overhead


def test_a_row_per_network(capsys, monkeypatch):
    asked = []
    for name in ("set_intra_op_parallelism_threads", "set_inter_op_parallelism_threads"):
        monkeypatch.setattr(f"tensorflow.config.threading.{name}", asked.append)  # once TensorFlow runs, it refuses
    config = Overhead(networks=("lenet_300_100",), batch_size=8, steps=1, rounds=1, repeats=1)
    select_overhead.main(config)
    out = capsys.readouterr().out
    assert asked == [1, 1]
    assert "lenet_300_100" in out and "hidden / dense" in out and max(map(len, out.splitlines())) <= 80


def test_the_ratio_is_that_of_the_times(monkeypatch):
    ran = []

    def timed(actions, rounds):
        ran.append((sorted(actions), rounds))
        return {}, {"dense": [0.6, 1.2], "subnet": [0.9, 1.8]}

    monkeypatch.setattr(select_overhead, "alternate", timed)
    found = select_overhead.step_ratios(Overhead(steps=1, rounds=2, repeats=3), "lenet_300_100")
    assert found == ("45.00", "1.500 [1.500, 1.500]")  # 20 steps in 0.9 s
    assert ran == [(["dense", "subnet"], 2)] * 3
