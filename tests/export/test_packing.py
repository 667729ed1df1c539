"""Packed vectors come back bit for bit, in every form."""

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from tf_pai.export.packing import FORMS, pack, unpack


def came_back(vector, form):
    packed = pack(vector, form)
    return unpack(packed.form, packed.values, packed.positions, packed.size).numpy()


@pytest.mark.parametrize("form", FORMS)
@hypothesis.given(
    st.lists(st.tuples(st.integers(0, 600), st.floats(width=32, allow_nan=False, allow_subnormal=False)), max_size=8)
)
@hypothesis.settings(deadline=None, max_examples=40)
def test_round_trip(form, runs):
    """Runs of zeros of any length, also longer than a byte says, and values between them; no subnormals: TF's are 0."""
    vector = np.concatenate([np.zeros(1, "float32"), *([0.0] * n + [v] for n, v in runs)]).astype("float32")
    np.testing.assert_array_equal(came_back(vector, form), vector)


def test_hand_worked_gaps():
    # 255 zeros are one step too far for a byte: 255 places to a zero that is stored, then 1 more to the value
    vector = np.zeros(300, "float32")
    vector[[255, 257]] = 4, 5
    packed = pack(vector)
    assert packed.form == "gaps" and packed.positions.tolist() == [255, 1, 2] and packed.values.tolist() == [0, 4, 5]
    np.testing.assert_array_equal(came_back(vector, "gaps"), vector)


def test_the_smallest_form_is_taken():
    rng = np.random.default_rng(0)
    for density, form in ((1.0, "dense"), (0.5, "bits"), (0.05, "gaps")):
        vector = ((rng.random(4000) < density) * rng.uniform(1, 2, 4000)).astype("float32")
        assert pack(vector).form == form
        assert pack(vector).nbytes == min(pack(vector, f).nbytes for f in FORMS)
