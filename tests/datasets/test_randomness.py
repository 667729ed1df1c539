import numpy as np
import tensorflow as tf

from tf_pai.datasets import randomness


def test_a_permutation_holds_every_index_once():
    order = randomness.permutation(1000, randomness.key(0, 0, randomness.ORDER)).numpy()
    assert order.dtype == np.int32
    np.testing.assert_array_equal(np.sort(order), np.arange(1000))


def test_each_part_of_the_key_changes_the_numbers():
    keys = [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)]
    drawn = {tuple(randomness.permutation(50, randomness.key(*key)).numpy()) for key in keys}
    assert len(drawn) == 4


def test_numbers_are_those_of_every_other_day():
    """A run resumed with a later version must find its batches again."""
    key = randomness.key(7, 3, randomness.ORDER)
    np.testing.assert_array_equal(randomness.permutation(8, key), [5, 6, 7, 0, 2, 4, 3, 1])
    np.testing.assert_allclose(randomness.uniform([3], key), [0.26496625, 0.05976486, 0.5033797], rtol=1e-6)


def test_the_global_seed_does_not_matter():
    key = randomness.key(0, 5, randomness.ORDER)
    tf.random.set_seed(1)
    first = randomness.permutation(50, key).numpy()
    tf.random.set_seed(2)
    np.testing.assert_array_equal(first, randomness.permutation(50, randomness.key(0, 5, randomness.ORDER)))


def test_an_epoch_may_be_a_tensor():
    as_tensor = tf.function(lambda epoch: randomness.permutation(20, randomness.key(0, epoch, randomness.ORDER)))
    expected = randomness.permutation(20, randomness.key(0, 4, randomness.ORDER))
    np.testing.assert_array_equal(as_tensor(tf.constant(4, tf.int64)), expected)


def test_uniform_numbers_fill_the_unit_interval():
    numbers = randomness.uniform([10000], randomness.key(0, 0, randomness.AUGMENTATION)).numpy()
    assert numbers.min() >= 0 and numbers.max() < 1
    np.testing.assert_allclose(np.histogram(numbers, 10, (0, 1))[0], 1000, atol=150)
