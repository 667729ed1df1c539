import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tf_pai.kernels import add_bits, flat_positions, from_flat, put, structure_arrays

pytestmark = pytest.mark.usefixtures("built")
SHAPES = [(1, 1), (7, 5), (3, 3, 4, 6), (40, 1), (1, 40), (2000, 3), (1100, 70), (70_000, 2)]


def some(size, share, seed=0):
    return np.flatnonzero(np.random.default_rng(seed).random(size) < share)


@pytest.mark.parametrize("share", [0, 0.1, 0.6, 1])
@pytest.mark.parametrize("shape", SHAPES)
def test_structures_are_those_that_numpy_makes(shape, share):
    flat = some(np.prod(shape), share)
    expected = from_flat(flat, shape)
    made = structure_arrays(tf.constant(flat, tf.int64), shape)
    for array, other in zip(expected.arrays.values(), made, strict=True):
        assert array.dtype == other.dtype.as_numpy_dtype
        np.testing.assert_array_equal(array, other)
    np.testing.assert_array_equal(flat_positions(expected.row_ptr, expected.col_idx, shape[-1]), flat)


@given(st.integers(0, 200), st.integers(0, 30), st.integers(0, 230), st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_what_lies_in_the_part_is_put_there(offset, length, size, seed):
    rng = np.random.default_rng(seed)
    flat = some(size, 0.3, seed)
    whole, values = rng.standard_normal(400).astype("f4"), rng.standard_normal(flat.size).astype("f4")
    part = whole[offset : offset + length].copy()
    new = whole.copy()
    new[flat] = values
    for kind in ("f4", "bool"):
        made = put(part.astype(kind), offset, tf.constant(flat, tf.int64), values.astype(kind))
        np.testing.assert_array_equal(made, new[offset : offset + length].astype(kind))
    np.testing.assert_array_equal(part, whole[offset : offset + length])  # the argument stays as it was


def test_put_reuses_the_part_in_a_graph_only_where_nobody_else_has_it():
    flat, ones = tf.constant([1, 2], tf.int64), tf.ones([2])

    @tf.function
    def both(x):
        part = x * 2
        return part, put(part, 0, flat, ones)

    part, new = both(tf.ones([4]))
    assert part.numpy().tolist() == [2, 2, 2, 2] and new.numpy().tolist() == [2, 1, 1, 2]


@pytest.mark.parametrize("size", [1, 8, 63, 1000])
def test_bits_are_those_that_numpy_packs(size):
    ever, flat = np.random.default_rng(1).random(size) < 0.2, some(size, 0.3)
    packed, count = add_bits(tf.constant(np.packbits(ever)), tf.constant(flat, tf.int64))
    ever[flat] = True
    np.testing.assert_array_equal(packed, np.packbits(ever))
    assert int(count) == ever.sum()


@pytest.mark.parametrize(
    ("flat", "message"),
    [([3, 3], "positions must rise, but 3 is after 3"), ([5, 2], "must rise"), ([-1, 2], "must rise, but -1"),
     ([0, 12], "positions must be below 12, unlike 12")],
)  # fmt: skip
def test_positions_that_make_no_structure_are_refused(flat, message):
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        structure_arrays(tf.constant(flat, tf.int64), (3, 4))


@pytest.mark.parametrize("flat", [[8], [-1]])
def test_bits_that_are_not_there_are_refused(flat):
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"positions must be in \[0, 8\)"):
        add_bits(tf.zeros([1], tf.uint8), tf.constant(flat, tf.int64))


@pytest.mark.parametrize(
    ("row_ptr", "col_idx", "message"),
    [([0, 2], [0], "last pointer"), ([1, 1], [0], "first pointer"), ([0, 2, 1], [0], "must not go down"),
     ([0, 1], [3], r"indices must be in \[0, 3\)"), ([], [], "pointers and indices")],
)  # fmt: skip
def test_a_tampered_structure_has_no_positions(row_ptr, col_idx, message):
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        flat_positions(tf.constant(row_ptr, tf.int32), tf.constant(col_idx, tf.int32), 3)


@pytest.mark.parametrize("cols", [-1, 2**33 - 1])
def test_columns_that_are_none_are_refused(cols):
    with pytest.raises(tf.errors.InvalidArgumentError, match="columns must fit 32 bits"):
        flat_positions(tf.constant([0, 1], tf.int32), tf.constant([-5], tf.int32), cols)


def test_values_that_do_not_fit_are_refused():
    with pytest.raises(tf.errors.InvalidArgumentError, match="a value for each position"):
        put(tf.zeros([3]), 0, tf.constant([1, 2], tf.int64), tf.zeros([1]))
    with pytest.raises(tf.errors.InvalidArgumentError, match="offset must not be negative"):
        put(tf.zeros([3]), -1, tf.constant([1, 2], tf.int64), tf.zeros([2]))


def test_positions_that_do_not_rise_are_put_somewhere_in_the_part_or_nowhere():
    highest = 2**63 - 1
    flat = tf.constant([1, -highest, 0, highest, 2], tf.int64)
    made = put(tf.zeros([3]), 1, flat, tf.constant([1.0, 2.0, 3.0, 4.0, 5.0])).numpy()
    assert made[0] in (0, 1) and made[1] in (0, 5) and made[2] == 0
