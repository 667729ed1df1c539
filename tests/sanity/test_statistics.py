"""Student's t and Welch's test against worked values."""

import math

import pytest

from tf_pai.sanity.statistics import paired, quantile, student, welch


@pytest.mark.parametrize(
    ("probability", "freedom", "t"),
    [(0.975, 1, 12.706), (0.975, 4, 2.776), (0.95, 8, 1.860), (0.975, 30, 2.042), (0.95, 2, 2.920)],
)
def test_quantiles_of_students_table(probability, freedom, t):
    assert quantile(probability, freedom) == pytest.approx(t, abs=6e-4)
    assert student(t, freedom) == pytest.approx(probability, abs=6e-5)  # the table is rounded
    assert student(-t, freedom) == pytest.approx(1 - probability, abs=6e-5)


def test_welch_by_hand():
    """a = 1 2 3, b = 2 4 6 8: means 2 and 5, variances 1 and 20/3.

    error^2 = 1/3 + 5/3 = 2; freedom = 4 / ((1/9)/2 + (25/9)/3) = 4 / (53/54) = 216/53 = 4.0755.
    """
    found = welch([1, 2, 3], [2, 4, 6, 8])
    assert found.mean == -3
    assert found.high - found.mean == pytest.approx(quantile(0.975, 216 / 53) * math.sqrt(2))
    assert found.p == pytest.approx(student(3 / math.sqrt(2), 216 / 53))
    assert found.low == pytest.approx(2 * found.mean - found.high)
    assert found.at_most == pytest.approx(-3 + quantile(0.95, 216 / 53) * math.sqrt(2))


def test_pairs_by_hand():
    """Differences 1 2 3: mean 2, error 1/sqrt(3), two degrees of freedom."""
    found = paired([2, 4, 6], [1, 2, 3])
    assert found.low == pytest.approx(2 - 4.3027 / math.sqrt(3), abs=1e-4)


def test_one_run_says_nothing():
    for test in (welch, paired):
        found = test([1.0], [0.0])
        assert (found.mean, found.p, found.low, found.high) == (1.0, 1.0, -math.inf, math.inf)


def test_without_deviation():
    assert welch([1, 1], [0, 0]).p == 0 and welch([1, 1], [1, 1]).p == 1
    assert paired([1, 1], [0, 0]).low == 1
