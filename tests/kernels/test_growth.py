import numpy as np
import pytest

from tf_pai.kernels import dense_gradient, from_flat, from_mask, largest_gradients


def test_the_tiles_are_the_dense_gradient():
    rng = np.random.default_rng(0)
    x, dy = rng.normal(size=(3, 4, 10)).astype("f4"), rng.normal(size=(3, 4, 6)).astype("f4")
    whole = np.einsum("abk,abj->kj", x, dy)
    tiles = [dense_gradient(x, dy, begin, min(4, 10 - begin)) for begin in range(0, 10, 4)]
    np.testing.assert_allclose(np.concatenate(tiles), whole, atol=1e-5)


@pytest.mark.parametrize("tile_rows", [1, 7, 512])
@pytest.mark.parametrize("count", [0, 1, 30, 200])
def test_the_largest_outside_the_structure(tile_rows, count):
    rng = np.random.default_rng(1)
    x, dy = rng.normal(size=(5, 40)).astype("f4"), rng.normal(size=(5, 12)).astype("f4")
    structure = from_mask(rng.random((40, 12)) < 0.3)
    size = np.abs(dense_gradient(x, dy, 0, 40).numpy())
    size[structure.mask()] = -1
    expected = np.sort(np.argsort(-size.reshape(-1), kind="stable")[:count])
    np.testing.assert_array_equal(largest_gradients(x, dy, structure, count, tile_rows), expected)


@pytest.mark.parametrize("tile_rows", [1, 2, 512])
def test_ties_keep_the_lower_position(tile_rows):
    """|x^T dy| = [[2, 1], [2, 1], [4, 2]], all pruned but the 4."""
    structure = from_flat([4], (3, 2))
    x, dy = [[1.0, -1.0, 2.0]], [[2.0, 1.0]]
    for count, places in ((1, [0]), (2, [0, 2]), (3, [0, 2, 5]), (4, [0, 1, 2, 5]), (5, [0, 1, 2, 3, 5])):
        assert largest_gradients(x, dy, structure, count, tile_rows).tolist() == places


def test_more_than_are_pruned_is_refused():
    with pytest.raises(ValueError, match=r"Between 0 and 3 weights can grow. Received: count=4"):
        largest_gradients([[1.0, 2.0]], [[1.0, 1.0]], from_flat([0], (2, 2)), 4)
