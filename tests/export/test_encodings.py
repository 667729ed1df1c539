"""TFLite's sparse encodings, against a decoder written from the format's definition."""

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from tf_pai.export.encodings import Encoding, candidates, encode, fully_connected_blocks, smallest


def decoded(values, levels, encoding, shape):
    """Walks the tree as TFLite's reference code does: one value at each leaf, in order."""
    found, stored = np.zeros(shape, values.dtype), iter(values)

    def visit(depth, node, path):
        if depth == len(levels):
            place = [0] * len(shape)
            for axis, index in zip(encoding.order, path, strict=True):
                if axis < len(shape):
                    place[axis] = index
                else:
                    cut = list(encoding.blocks)[axis - len(shape)]
                    place[cut] = place[cut] * encoding.blocks[cut] + index
            found[tuple(place)] = next(stored)
            return
        level = levels[depth]
        if level.segments is None:
            for index in range(level.size):
                visit(depth + 1, node * level.size + index, (*path, index))
        else:
            for child in range(level.segments[node], level.segments[node + 1]):
                visit(depth + 1, child, (*path, int(level.indices[child])))

    visit(0, 0, ())
    assert next(stored, None) is None
    return found


def stored_bytes(values, levels):
    return values.nbytes + sum(a.nbytes for level in levels for a in (level.segments, level.indices) if a is not None)


shapes = arrays.array_shapes(min_dims=1, max_dims=4, max_side=6) | st.tuples(st.just(4), st.just(8))


@hypothesis.given(arrays.arrays(np.int8, shapes, elements=st.sampled_from([0, 0, 0, 0, 1, -3])))
@hypothesis.settings(deadline=None, max_examples=60)
def test_every_candidate_decodes_to_the_array_and_takes_the_bytes_it_says(array):
    for encoding in candidates(array):
        values, levels = encode(array, encoding)
        np.testing.assert_array_equal(decoded(values, levels, encoding, array.shape), array)
        assert stored_bytes(values, levels) == encoding.bytes
    assert smallest(array).bytes == min(encoding.bytes for encoding in candidates(array))


def test_hand_worked_rows():
    #      0 7 0 0      rows 0 and 2 have values: the first axis lists them,
    # w =  0 0 0 0      the last one says which columns they are in
    #      5 0 0 6
    array = np.array([[0, 7, 0, 0], [0, 0, 0, 0], [5, 0, 0, 6]], "float32")
    values, (rows, columns) = encode(array, Encoding((0, 1), (True, True), {}, 0))
    assert values.tolist() == [7, 5, 6]
    assert rows.segments.tolist() == [0, 2] and rows.indices.tolist() == [0, 2]
    assert columns.segments.tolist() == [0, 1, 3] and columns.indices.tolist() == [1, 0, 3]


def test_blocks_of_four_inputs_are_stored_as_blocks():
    rng = np.random.default_rng(0)
    array = np.repeat(rng.random((32, 16)) < 0.1, 4, axis=1) * rng.standard_normal((32, 64)).astype("float32")
    assert smallest(array).describe(2) == "1x4 blocks"
    assert smallest(array) == fully_connected_blocks(array, 4)
    assert fully_connected_blocks(array[:, :62], 4) is None


@pytest.mark.parametrize("largest, kind", [(255, "uint8"), (256, "uint16"), (65536, "int32")])
def test_positions_take_the_narrowest_type(largest, kind):
    array = np.zeros(largest + 1, "float32")
    array[largest] = 1
    _, (level,) = encode(array, Encoding((0,), (True,), {}, 0))
    assert level.indices.dtype == kind and level.segments.dtype == "uint8"
