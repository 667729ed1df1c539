import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from tf_pai.datasets import load


@pytest.fixture(scope="module")
def digits():
    return load("digits", batch_size=100)


def batches(dataset):
    return [(x, y) for x, y in dataset.as_numpy_iterator()]


def assert_same(first, second):
    assert len(first) == len(second)
    for (x, y), (other_x, other_y) in zip(first, second, strict=True):
        np.testing.assert_array_equal(x, other_x)
        np.testing.assert_array_equal(y, other_y)


def test_sizes_and_shapes(digits):
    assert (digits.train_size, digits.validation_size, digits.test_size, digits.steps_per_epoch) == (1437, 0, 360, 14)
    got = batches(digits.train(0))
    assert [x.shape for x, _ in got] == [(100, 8, 8, 1)] * 14
    assert got[0][0].dtype == np.float32 and got[0][1].dtype == np.int32
    assert [len(y) for _, y in batches(digits.test())] == [100, 100, 100, 60]


def test_an_epoch_is_a_permutation_of_the_training_split():
    data = load("digits", batch_size=1437, flat=True)
    (x, y), (all_x, all_y) = batches(data.train(5))[0], data.arrays("train")
    rows, all_rows = (np.column_stack([a, b]) for a, b in ((x, y), (all_x, all_y)))
    assert not np.array_equal(rows, all_rows)
    np.testing.assert_array_equal(*(r[np.lexsort(r.T)] for r in (rows, all_rows)))


def test_an_epoch_is_a_function_of_seed_and_epoch(digits):
    tf.random.set_seed(1)
    first = batches(digits.train(3))
    next(iter(digits.train(0)))
    tf.random.set_seed(2)
    assert_same(first, batches(load("digits", batch_size=100).train(3)))


def test_an_epoch_can_be_read_again(digits):
    epoch = digits.train(2)
    assert_same(batches(epoch), batches(epoch))


def test_epochs_and_seeds_differ(digits):
    labels = [
        batches(d)[0][1] for d in (digits.train(0), digits.train(1), load("digits", batch_size=100, seed=1).train(0))
    ]
    for i, j in ((0, 1), (0, 2), (1, 2)):
        assert not np.array_equal(labels[i], labels[j])


def test_a_stream_is_its_epochs_one_after_the_other(digits):
    assert_same(batches(digits.stream(5, start=3)), batches(digits.train(3)) + batches(digits.train(4)))


def fit(model, data, epochs, start):
    model.fit(
        data.stream(epochs, start), epochs=epochs, initial_epoch=start, steps_per_epoch=data.steps_per_epoch, verbose=0
    )
    return model.get_weights()


def test_a_run_that_resumes_ends_where_the_whole_run_ends():
    data = load("digits", batch_size=100, flat=True)

    def model():
        keras.utils.set_random_seed(0)
        made = keras.Sequential([keras.Input((64,)), keras.layers.Dense(10)])
        made.compile(keras.optimizers.SGD(0.1), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        return made

    whole = fit(model(), data, epochs=4, start=0)
    killed = model()
    fit(killed, data, epochs=2, start=0)
    resumed = model()
    resumed.set_weights(killed.get_weights())
    keras.utils.set_random_seed(9)
    for got, expected in zip(fit(resumed, load("digits", batch_size=100, flat=True), 4, 2), whole, strict=True):
        np.testing.assert_array_equal(got, expected)


def test_the_training_split_has_mean_zero_and_deviation_one(digits):
    x, _ = digits.arrays("train")
    np.testing.assert_allclose([x.mean(dtype=float), x.std(dtype=float)], [0, 1], atol=1e-5)


def test_arrays_hold_what_the_batches_hold(digits):
    x, y = digits.arrays("test")
    assert_same(batches(digits.test()), [(x[at : at + 100], y[at : at + 100]) for at in range(0, 360, 100)])


def test_flat_images_are_the_same_numbers(digits):
    flat = load("digits", batch_size=100, flat=True)
    assert flat.input_shape == (64,)
    x, y = batches(digits.train(1))[0]
    assert_same([(x.reshape(100, 64), y)], batches(flat.train(1))[:1])


def test_the_score_batch_is_the_first_of_each_class(digits):
    x, y = digits.score_batch()
    np.testing.assert_array_equal(y, np.repeat(np.arange(10), 10))
    all_x, all_y = digits.arrays("train")
    np.testing.assert_array_equal(x, np.concatenate([all_x[all_y == label][:10] for label in range(10)]))
    assert (x.dtype, y.dtype) == (np.float32, np.int32)


def test_the_score_batch_is_neither_shuffled_nor_augmented(prepared):
    plain, other = (
        load("tfds:toy_arrays", data_dir=prepared, batch_size=5, seed=seed, augment=augment).score_batch(3)
        for seed, augment in ((0, False), (1, True))
    )
    assert_same([plain], [other])


@pytest.mark.parametrize(("per_class", "message"), [(0, "per_class=0"), (146, r"per_class=146, but class \d has 1")])
def test_a_score_batch_of_another_size_is_refused(digits, per_class, message):
    with pytest.raises(ValueError, match=message):
        digits.score_batch(per_class)


def test_validation_is_parted_from_training_whatever_the_seed():
    first, second = (load("digits", batch_size=100, seed=seed, validation_fraction=0.2) for seed in (0, 1))
    assert (first.train_size, first.validation_size) == (1150, 287)
    assert_same(batches(first.validation()), batches(second.validation()))
    held, trained = first.arrays("validation")[0], first.arrays("train")[0]
    assert len(np.unique(np.concatenate([held, trained]).reshape(1437, 64), axis=0)) == 1437
    assert first.standardise == load("digits").standardise


def test_errors_say_what_to_do(digits):
    with pytest.raises(ValueError, match=r"'digits' was loaded without validation examples\. Load it with"):
        digits.validation()
    with pytest.raises(ValueError, match=r"A split is one of train, test\. Received: 'tets'\. Did you mean 'test'\?"):
        digits.arrays("tets")
    with pytest.raises(ValueError, match=r"Epochs are counted from 0\. Received: epoch=-1"):
        digits.train(-1)
    for start in (-1, 3):
        with pytest.raises(ValueError, match=f"Received: start={start}, epochs=3"):
            digits.stream(3, start=start)


def test_a_data_set_cannot_be_changed(digits):
    with pytest.raises(dataclasses.FrozenInstanceError):
        digits.batch_size = 7
