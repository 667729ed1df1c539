import subprocess

import pytest

from experiments.alive import peaks_of

LAYER = 4 * 1000 * 1000 / 2**20

TRAINS = """
import sys
from experiments import quiet
import keras, numpy as np, tf_pai
from experiments.alive import phase

class Phases(keras.callbacks.Callback):
    def on_train_batch_begin(self, batch, logs=None):
        if batch >= 4:  # everything that stays has been seen before
            phase("update" if batch % 2 else "step")

layers = [keras.layers.Dense(1000, use_bias=False, activation="relu") for _ in range(3)]
model = keras.Sequential([keras.Input((1000,)), *layers])
model = tf_pai.prune_at_init(model, "random", 0.9, compute=sys.argv[1], seed=0, verbose=0)
model.compile(keras.optimizers.SGD(0.01, momentum=0.9), "mse")
tile_size = int(sys.argv[2])
rigl = tf_pai.callbacks.RigL(update_every=2, end_step=100, decay="constant", tile_size=tile_size, seed=0)
x = np.random.default_rng(0).standard_normal((64, 1000)).astype("float32")
model.fit(x, x, batch_size=8, callbacks=[rigl, Phases()], shuffle=False, verbose=0)
phase("end")
"""


@pytest.mark.parametrize(
    "compute, tile_size, layers",
    [
        ("masked", 2**20, 5),  # autodiff makes the dense gradients of all three; one has scores and masks besides
        ("sparse", 2**17, 1),
        ("sparse", 2**20, 5),  # a layer that is one tile is there densely: its weights, scores, masks
    ],
)
def test_an_update_takes_the_memory_of_a_few_layers_over_a_step(compute, tile_size, layers):
    peaks = peaks_of(TRAINS, compute, str(tile_size))
    assert peaks["update"] < peaks["step"] + layers * LAYER


def test_what_is_alive_is_counted_until_it_is_freed():
    code = """
from experiments import quiet
import tensorflow as tf
from experiments.alive import phase
twice = tf.function(lambda x: x * 2, autograph=False)
made = twice(tf.ones([2**20]))  # 4 MB
phase("two")
other = twice(made)
del made, other
phase("none")
made = twice(tf.ones([1]))
"""
    peaks = peaks_of(code)
    assert [round(peaks[name]) for name in ("two", "none")] == [8, 0]


def test_a_program_that_fails_says_so():
    with pytest.raises(subprocess.CalledProcessError):
        peaks_of("import sys; sys.exit(3)")
