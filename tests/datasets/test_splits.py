import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tf_pai.datasets.splits import require_per_class, spread


@given(st.lists(st.integers(0, 4), min_size=1, max_size=200), st.floats(0, 0.99))
def test_each_class_gives_its_share(labels, fraction):
    labels = np.array(labels)
    picked = spread(labels, fraction)
    assert picked.sum() == round(fraction * len(labels))
    for label in np.unique(labels):
        assert abs(picked[labels == label].sum() - fraction * (labels == label).sum()) < 1


def test_the_picked_examples_are_evenly_spaced():
    np.testing.assert_array_equal(np.flatnonzero(spread(np.zeros(12, int), 0.25)), [2, 6, 10])


def test_equal_remainders_favour_the_lower_class():
    # three classes of 5, half of each is 2.5: round(7.5) = 8 = 3 + 3 + 2
    picked = spread(np.repeat([0, 1, 2], 5), 0.5)
    np.testing.assert_array_equal([picked[:5].sum(), picked[5:10].sum(), picked[10:].sum()], [3, 3, 2])


def test_too_many_per_class_names_the_class():
    require_per_class(np.array([5, 2, 9]), 2)
    with pytest.raises(ValueError, match=r"per_class=3, but class 1 has 2\. Ask for at most 2\."):
        require_per_class(np.array([5, 2, 9]), 3)
