import numpy as np
import pytest
import tensorflow as tf

from tf_pai.kernels import all_finite, count_nonzero

pytestmark = pytest.mark.usefixtures("built")
SHAPES = [(), (0, 4), (1,), (63,), (64,), (65, 3), (5, 7, 11, 13), (64 * 255 * 2 + 3,)]


@pytest.mark.parametrize("shape", SHAPES)
def test_as_many_as_numpy_counts(shape):
    rng = np.random.default_rng(0)
    mask = rng.random(shape) < 0.7
    values = np.where(mask, rng.standard_normal(shape), -0.0).astype("f4")
    values = np.where(rng.random(shape) < 0.1, np.float32(np.nan), values)
    assert int(count_nonzero(mask)) == np.count_nonzero(mask)
    assert int(count_nonzero(values)) == np.count_nonzero(values)
    assert int(count_nonzero(np.ones(shape, bool))) == np.prod(shape, dtype=int)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("value", [np.nan, -np.nan, np.inf, -np.inf])
def test_one_that_is_not_finite_is_seen_at_any_place(shape, value):
    values = np.full(shape, np.finfo("f4").max, "f4")
    assert bool(all_finite(values))
    for place in {0, values.size // 2, values.size - 1} if values.size else ():
        other = values.copy()
        other.flat[place] = value
        assert not bool(all_finite(other))


@pytest.mark.parametrize("values", [[1, 2], np.ones(3, "f8")])
def test_other_types_are_refused(values):
    for operation in (count_nonzero, all_finite):
        with pytest.raises((TypeError, tf.errors.InvalidArgumentError)):
            operation(tf.constant(values))
