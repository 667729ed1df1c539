"""Densities round by round: they fall, end at the asked one, and follow their formulas."""

import itertools
import subprocess
import sys

import keras
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tf_pai import schedules
from tf_pai.schedules import Iterative, OneShot, Progressive


@settings(deadline=None)
@given(st.integers(1, 200), st.sampled_from(["exponential", "linear"]), st.floats(0.001, 1.0))
def test_iterative_falls_and_ends_right(rounds, shape, density):
    densities = Iterative(rounds, shape).densities(density, total=1000)
    assert len(densities) == rounds and densities[-1] == density
    assert all(a >= b for a, b in itertools.pairwise(densities))


def test_iterative_by_hand():
    assert Iterative(2).densities(0.25, 100) == [0.5, 0.25]
    assert Iterative(4, "linear").densities(0.2, 100) == pytest.approx([0.8, 0.6, 0.4, 0.2])
    assert OneShot().densities(0.3, 100) == [0.3]


def test_counts():
    assert Iterative(counts=[90, 30, 10]).densities(0.1, total=100) == [0.9, 0.3, 0.1]
    assert repr(Iterative(counts=[9, 3])) == "iterative counts=[9, 3]"


@pytest.mark.parametrize("counts", [[200, 10], [90, 11], [90]])
def test_counts_that_do_not_fit(counts):
    with pytest.raises(ValueError, match="counts fall from at most 100 to the 10 weights of the asked sparsity"):
        Iterative(counts=counts).densities(0.1, total=100)


@pytest.mark.parametrize("counts", [[], [3, 5], [3, -1]])
def test_counts_that_rise(counts):
    with pytest.raises(ValueError, match=r"counts fall from round to round\. Received"):
        Iterative(counts=counts)


def test_a_keras_schedule_is_scaled_to_end_at_the_asked_sparsity():
    decay = keras.optimizers.schedules.PolynomialDecay(0.0, 10, 0.5)
    densities = Progressive(decay, steps=5).densities(0.1, total=100)  # sparsities .05 .1 .15 .2 .25, times .9 / .25
    assert densities == pytest.approx([0.82, 0.64, 0.46, 0.28, 0.1])


def test_steps_may_be_listed():
    assert Progressive(lambda step: step / 10, steps=[2, 5, 10]).densities(0.5, 100) == pytest.approx([0.9, 0.75, 0.5])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Iterative(0), "at least one round. Received: rounds=0"),
        (lambda: Iterative(3, "cubic"), 'shape is "exponential" or "linear". Received: shape=\'cubic\''),
        (lambda: Progressive(lambda step: 0.5), "does not know its last step"),
        (lambda: Progressive(lambda step: 0.5, steps=0), "at least one step"),
        (lambda: Progressive(lambda step: 0.0, steps=3).densities(0.5, 100), "ends at a sparsity above 0"),
        (lambda: schedules.get("one_shoot"), r"Did you mean 'one_shot'\?"),
        (lambda: schedules.get("iterative:x"), r"Received: 'iterative:x'"),
    ],
)
def test_wrong_schedules(make, message):
    with pytest.raises(ValueError, match=message):
        make()


TFMOT = """
import keras, tf_pai
from tensorflow_model_optimization.python.core.sparsity.keras import pruning_schedule as tfmot
cubic = tfmot.PolynomialDecay(initial_sparsity=0.0, final_sparsity=0.8, begin_step=0, end_step=100, frequency=25)
print(tf_pai.schedules.get(cubic).densities(0.2, 100))
print(tf_pai.schedules.get(tfmot.ConstantSparsity(0.5, begin_step=0)).densities(0.1, 100))
"""


def test_schedules_of_tfmot():
    """In a process of its own: importing tfmot changes which Keras `tf.keras` is."""
    run = subprocess.run([sys.executable, "-c", TFMOT], capture_output=True, text=True, check=False)
    cubic, constant = (eval(line) for line in run.stdout.splitlines()[-2:])
    # sparsity 0.8 (1 - (1 - t)^3) at t = 0, 1/4, 1/2, 3/4, 1
    assert cubic == pytest.approx([1 - 0.8 * (1 - (1 - t / 4) ** 3) for t in range(5)], abs=1e-6)
    assert constant == [0.1]
