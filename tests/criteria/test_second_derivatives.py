"""Hessian-vector products against a float64 central difference of the gradient (oracle README, trap 3)."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tf_pai
from tests.criteria import models
from tf_pai import criteria
from tf_pai.criteria import losses
from tf_pai.criteria.data import Batch
from tf_pai.criteria.problem import Problem
from tf_pai.layers import participating

SECOND_ORDER = ["norm_net", "residual_net", "transformer", "group_norm_net", "lstm"]


def problem_of(family):
    build, (x, y) = models.FAMILIES[family]
    model = build()
    problem = Problem(model, participating(model), [Batch(x, y)])
    problem.loss = losses.find_loss(model, None, y, problem.outputs(problem.tensors(), x))
    return problem


def gradient64(problem, values, training, temperature=1.0):
    """dL/dw in float64, by means that share nothing with the score but the forward pass."""
    (batch,) = problem.batches
    x = tf.cast(batch.x, "float64") if batch.x.dtype.kind == "f" else batch.x
    with tf.GradientTape() as tape:
        tape.watch(values)
        with problem.reading(values, "float64"):
            outputs = problem.model(x, training=training)
        loss = keras.losses.sparse_categorical_crossentropy(batch.y, outputs / temperature, from_logits=True)
        loss = tf.reduce_mean(loss)
    return [tf.convert_to_tensor(g) for g in tape.gradient(loss, values)]


def difference_quotient(problem, values, direction, training, temperature=1.0, step=1e-6):
    def at(sign):
        moved = [w + sign * step * v for w, v in zip(values, direction, strict=True)]
        return gradient64(problem, moved, training, temperature)

    return [(a - b).numpy() / (2 * step) for a, b in zip(at(1), at(-1), strict=True)]


def worst(got, wanted):
    a, b = (np.concatenate([np.ravel(part) for part in parts]) for parts in (got, wanted))
    return np.abs(a - b).max() / np.abs(b).max()


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("family", SECOND_ORDER)
def test_hessian_times_a_random_vector(family, training):
    problem = problem_of(family)
    rng = np.random.default_rng(0)
    direction = [tf.constant(rng.standard_normal(w.shape)) for w in problem.tensors()]

    def product(batch, values, v):
        return problem.hessian_product(batch, values, v, training)

    single = [tf.cast(v, "float32") for v in direction]
    got = problem.sum_over_batches("Hv", product, problem.tensors(), single)
    wanted = difference_quotient(problem, problem.tensors("float64"), direction, training)
    assert worst(got, wanted) < 5e-5


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("family", ["norm_net", "residual_net", "transformer"])
def test_grasp(family, training):
    problem = problem_of(family)
    values = problem.tensors("float64")
    gradient = gradient64(problem, values, training, temperature=200.0)
    scale = 1 / max(float(tf.reduce_max(tf.abs(g))) for g in gradient)  # a step along a tiny gradient would be no step
    along = [g * scale for g in gradient]
    products = difference_quotient(problem, values, along, training, temperature=200.0)
    wanted = [w * hg / scale for w, hg in zip(values, products, strict=True)]
    criterion = criteria.GraSP(training=training)
    got = tf_pai.score(problem.model, criterion, data=models.FAMILIES[family][1])
    assert worst(list(got.values()), [w.numpy() for w in wanted]) < 1e-3


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("family", ["norm_net", "residual_net"])
def test_obd_exact(family, training):
    problem = problem_of(family)
    values = problem.tensors("float64")
    got = tf_pai.score(problem.model, criteria.OBD("exact", training=training), data=models.FAMILIES[family][1], seed=0)
    largest = max(np.abs(score).max() for score in got.values())
    rng = np.random.default_rng(1)
    for place, path in enumerate(problem.paths):
        for i in rng.choice(values[place].shape.num_elements(), 3, replace=False):
            direction = [np.zeros(w.shape) for w in values]
            direction[place].ravel()[i] = 1.0
            row = difference_quotient(problem, values, [tf.constant(v) for v in direction], training)
            wanted = row[place].ravel()[i] * values[place].numpy().ravel()[i] ** 2 / 2
            assert abs(got[path].ravel()[i] - wanted) < 1e-3 * largest


@pytest.mark.parametrize("family", ["norm_net", "residual_net"])
@pytest.mark.parametrize(("steps", "momentum"), [(1, 0.0), (3, 0.9)])
def test_prospr(family, steps, momentum):
    """The derivative of the loss after the steps, by moving one mask entry; momentum starts with a constant."""
    narrow = problem_of(family)
    criterion = criteria.ProsPr(steps=steps, learning_rate=0.1, momentum=momentum)
    got = tf_pai.score(narrow.model, criterion, data=models.FAMILIES[family][1])
    problem = narrow.over_trainables()
    start = problem.tensors("float64")
    first = gradient64(problem, start, True)

    def loss_after(path, i, change):
        values = [tf.identity(w) for w in start]
        place = problem.paths.index(path)
        factor = np.ones(start[place].shape)
        factor.ravel()[i] += change
        values[place] = values[place] * factor
        velocity = None
        for _ in range(steps):
            gradient = gradient64(problem, values, True)
            if velocity is None:
                velocity = first if momentum else gradient
            else:
                velocity = [momentum * v + g for v, g in zip(velocity, gradient, strict=True)]
            values = [w - 0.1 * v for w, v in zip(values, velocity, strict=True)]
        (batch,) = problem.batches
        with problem.reading(values, "float64"):
            outputs = problem.model(tf.cast(batch.x, "float64"), training=True)
        loss = keras.losses.sparse_categorical_crossentropy(batch.y, outputs, from_logits=True)
        return float(tf.reduce_mean(loss))

    largest = float(max(score.max() for score in got.values()))
    for path in narrow.paths:
        i = int(np.argmax(got[path]))
        wanted = abs(loss_after(path, i, 1e-5) - loss_after(path, i, -1e-5)) / 2e-5
        assert got[path].ravel()[i] == pytest.approx(wanted, rel=1e-3, abs=1e-3 * largest)
