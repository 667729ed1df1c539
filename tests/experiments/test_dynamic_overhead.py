import pytest

from experiments import dynamic_overhead
from experiments.dynamic_overhead import Overhead, large_update, step_times

SMALL = Overhead(update_every=4, pairs=2, rounds=2, batch_size=8)


@pytest.mark.parametrize("compute", ["masked", "sparse"])
def test_an_update_holds_a_few_dense_layers_at_once(compute):
    seconds, megabytes = large_update(Overhead(compute=compute, side=4000))
    assert seconds > 0
    assert 0 < megabytes < 7 * 4 * 4000**2 / 2**20  # 25 million masked weights once took ten of theirs


def test_two_trainings_take_turns_step_by_step(monkeypatch):
    order = []
    pass_on = dynamic_overhead.Turns.pass_on

    def told(turns):
        order.append(turns._order[0])
        pass_on(turns)

    monkeypatch.setattr(dynamic_overhead.Turns, "pass_on", told)
    static, moving, clock, cpu = step_times(SMALL, "lenet_300_100")
    assert order == ["static", "moving"] * (2 * 4 * 3)
    assert float(static.split()[0]) > 0 and float(moving.split()[0]) > 0
    assert float(clock.split()[0]) > 0 and float(cpu) > 0


@pytest.mark.parametrize("which", ["static", "moving"])
def test_where_one_fails_the_other_goes_on_and_the_reason_is_raised(monkeypatch, which):
    begin = dynamic_overhead.TakesTurns.on_train_batch_begin

    def fails(times, batch, logs=None):
        if times.name == which and batch == 2:
            raise OSError("no more data")
        begin(times, batch)

    monkeypatch.setattr(dynamic_overhead.TakesTurns, "on_train_batch_begin", fails)
    with pytest.raises(OSError, match="no more data"):
        step_times(SMALL, "lenet_300_100")
