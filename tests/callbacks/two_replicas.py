"""Run by test_distributed.py in a process of its own, which has two logical CPUs."""

import sys

import keras
import numpy as np
import tensorflow as tf

import tf_pai
from tests.callbacks.models import data, method, model_for
from tf_pai.layers import sparse_layers
from tf_pai.masks import masked_weights


def train(name, strategy):
    name, _, form = name.partition(":")
    callback = method(name)
    with strategy.scope():
        model = model_for(callback, keras.optimizers.SGD(0.1, momentum=0.9))
        model = tf_pai.to_sparse(model) if form == "sparse" else model
    model.fit(data(), epochs=2, verbose=0, callbacks=[callback])
    return model


def check(name):
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    model = train(name, strategy)
    variables = [variable for pair in masked_weights(model).values() for variable in pair]
    for layer in sparse_layers(model).values():
        variables += [layer.kernel, *layer.structure_variables]
    for variable in variables:
        first, second = (replica.numpy() for replica in strategy.experimental_local_results(variable.value))
        assert np.array_equal(first, second), f"{name}: replicas differ"
    assert tf_pai.verify(model), name
    alone = train(name, tf.distribute.get_strategy())
    counts = [[int(mask.sum()) for mask in tf_pai.get_masks(m).values()] for m in (model, alone)]
    print(name, sum(counts[0]) == sum(counts[1]))


if __name__ == "__main__":
    tf.config.set_logical_device_configuration(
        tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
    )
    for argument in sys.argv[1:]:
        check(argument)
