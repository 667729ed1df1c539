import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tf_pai.kernels import from_coordinates, from_flat, from_mask

shapes = st.one_of(
    st.tuples(st.integers(1, 40), st.integers(1, 40)),
    st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(1, 9), st.integers(1, 9)),
)


def random_mask(shape, density, seed):
    return np.random.default_rng(seed).random(shape) < density


@settings(max_examples=30, deadline=None)
@given(shape=shapes, density=st.sampled_from([0.0, 0.1, 0.5, 1.0]), seed=st.integers(0, 99))
def test_every_builder_keeps_the_mask(shape, density, seed):
    mask = random_mask(shape, density, seed)
    structure = from_mask(mask)
    assert structure.nnz == mask.sum() and structure.shape == shape
    np.testing.assert_array_equal(structure.mask(), mask)
    np.testing.assert_array_equal(structure.coordinates(), np.argwhere(mask))
    shuffled = np.random.default_rng(seed).permutation(np.argwhere(mask))
    for other in (from_coordinates(shuffled, shape), from_flat(np.flatnonzero(mask), shape)):
        for name, array in structure.arrays.items():
            np.testing.assert_array_equal(other.arrays[name], array, name)


@settings(max_examples=30, deadline=None)
@given(shape=shapes, seed=st.integers(0, 99))
def test_values_are_in_row_major_order(shape, seed):
    mask = random_mask(shape, 0.4, seed)
    kernel = np.random.default_rng(seed).normal(size=shape) * mask
    structure = from_mask(mask)
    np.testing.assert_array_equal(structure.gather(kernel), kernel[mask])
    np.testing.assert_array_equal(structure.scatter(kernel[mask]), kernel)


@pytest.mark.parametrize(("rows", "density", "panels"), [(500, 0.3, 1), (3 * 512 - 5, 0.3, 3), (3072, 0.004, 1)])
def test_both_orders_hold_the_same_weights(rows, density, panels):
    structure = from_mask(random_mask((rows, 5), density, 0))
    assert structure.panels == panels and structure.col_ptr.shape == (panels * 5 + 1,)
    lines = np.repeat(np.arange(panels * 5), np.diff(structure.col_ptr))
    edges = [rows * panel // panels for panel in range(1, panels)]
    np.testing.assert_array_equal(np.searchsorted(edges, structure.row_idx, side="right"), lines // 5)
    np.testing.assert_array_equal(structure.flat()[structure.perm], structure.row_idx.astype(int) * 5 + lines % 5)


def test_indices_are_short_where_they_fit():
    assert from_flat([0], (1 << 16, 2)).row_idx.dtype == np.uint16
    wide = from_flat([(1 << 16) * 2], ((1 << 16) + 1, 2))
    assert wide.row_idx.dtype == np.int32 and wide.row_idx.tolist() == [1 << 16]


def test_a_huge_layer_is_never_dense():
    shape = (1 << 20, 1 << 20)  # 4 TB
    structure = from_coordinates([[5, 7], [(1 << 20) - 1, 3]], shape)
    assert sum(array.nbytes for array in structure.arrays.values()) < 10e6
    assert structure.coordinates().tolist() == [[5, 7], [(1 << 20) - 1, 3]]


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda: from_mask(np.ones((2, 2))), TypeError, "boolean, True = kept. Received: float64"),
        (lambda: from_flat([0, 4], (2, 2)), ValueError, r"in \[0, 4\). Received: 0 to 4"),
        (lambda: from_flat([-1], (2, 2)), ValueError, r"in \[0, 4\). Received: -1 to -1"),
        (lambda: from_flat([1, 1], (2, 2)), ValueError, "Received twice: 1"),
        (lambda: from_flat([0.5], (2, 2)), ValueError, "vector of integers. Received: float64"),
        (lambda: from_flat([0], (2,)), ValueError, "two axes or more. Received: shape=(.*2,)"),
        (lambda: from_coordinates([[0, 2]], (2, 2)), ValueError, "inside the shape"),
        (lambda: from_coordinates([[0]], (2, 2)), ValueError, r"Coordinates are \[nnz, 2\]"),
        (lambda: from_flat([0], (2, 2)).gather(np.ones((2, 3))), ValueError, r"shape \(2, 2\). Received: \(2, 3\)"),
        (lambda: from_flat([0], (2, 2)).scatter(np.ones(2)), ValueError, r"\(1,\). Received: \(2,\)"),
    ],
)
def test_wrong_input_is_refused(build, error, message):
    with pytest.raises(error, match=message):
        build()
