import pytest

from tf_pai.callbacks import ACDC, DNS, GraNet, RigL
from tf_pai.callbacks.schedule import Periodic, cubic_sparsity, drop_fraction


def due_steps(callback, until, steps_per_epoch=None, total=None):
    callback.schedule = callback.make_schedule(steps_per_epoch, total)
    return [step for step in range(until) if callback.is_due(step)]


def test_step_zero_is_no_update_and_the_end_is_one():
    assert [step for step in range(99) if Periodic(10, 0, 30).is_due(step)] == [10, 20, 30]


def test_default_end_is_three_quarters_of_the_training():
    assert due_steps(RigL(update_every=10), 100, total=80) == [10, 20, 30, 40, 50, 60]


def test_epochs_are_counted_in_their_steps():
    assert due_steps(RigL(update_every="1ep", begin_step="1ep", end_step="3ep"), 99, steps_per_epoch=7) == [7, 14, 21]


def test_decay_from_begin_or_from_zero():
    shifted, bare = Periodic(1, 100, 300), Periodic(1, 100, 300, decays_from_begin=False)
    assert (shifted.progress(100), shifted.progress(200), shifted.progress(999)) == (0.0, 0.5, 1.0)
    assert (bare.progress(100), bare.progress(200)) == (0.5, 1.0)


@pytest.mark.parametrize(
    "decay, middle", [("constant", 0.4), ("cosine", 0.25), ("linear", 0.25), ("cubic", 0.1 + 0.3 / 8)]
)
def test_decays(decay, middle):
    assert drop_fraction(0.4, decay, 0.0, 0.1) == 0.4
    assert drop_fraction(0.4, decay, 0.5, 0.1) == pytest.approx(middle)


def test_cubic_sparsity_rises_from_one_end_to_the_other():
    values = [cubic_sparsity(0.5, 0.9, p / 10) for p in range(11)]
    assert values == sorted(values) and (values[0], values[-1]) == (0.5, 0.9)


def test_acdc_phases_alternate_and_end_compressed():
    callback = ACDC(sparsity=0.9, begin_step=10, update_every=5, end_step=25)
    due = due_steps(callback, 60)
    assert due == [10, 15, 20, 25]
    assert [callback.is_compressed(step) for step in due] == [True, False, True, True]


def test_acdc_divides_the_training():
    assert due_steps(ACDC(sparsity=0.9), 101, total=100) == list(range(10, 76, 5))


def test_granet_reaches_its_sparsity_at_its_last_update():
    callback = GraNet(sparsity=0.9, initial_sparsity=0.5, update_every=10, end_step=35)
    last = due_steps(callback, 99)[-1]
    assert last == 30 and callback.sparsity_at(last) == pytest.approx(0.9)


def test_dns_updates_less_and_less_often_and_the_same_for_the_same_seed():
    always, seldom = DNS(sparsity=0.5, gamma=0, end_step=200), DNS(sparsity=0.5, gamma=1, end_step=200, seed=3)
    assert due_steps(always, 201) == list(range(1, 201))
    drawn = due_steps(seldom, 201)
    assert 0 < len(drawn) < 30 and drawn == due_steps(DNS(sparsity=0.5, gamma=1, end_step=200, seed=3), 201)
