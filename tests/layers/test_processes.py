"""What takes a process of its own: a file loaded afresh, and training on several devices."""

import subprocess
import sys

import numpy as np
import pytest

import tf_pai
from tests.layers.support import outputs, pruned
from tf_pai.testing import FAMILIES


def run(program, *arguments):
    """What the program prints in a new process."""
    done = subprocess.run([sys.executable, "-c", program, *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout.strip().splitlines()


LOAD = """
import sys
import keras, tf_pai
if sys.argv[3]:
    import tf_pai.testing  # the user's own classes, which Keras asks for in any case
import numpy as np
model = keras.models.load_model(sys.argv[1])
stored = np.load(sys.argv[2])
np.testing.assert_allclose(model(stored["x"], training=False), stored["outputs"], atol=1e-6)
tf_pai.verify(model)
print(tf_pai.sparsity(model), int(model.optimizer.iterations))
model.fit(stored["x"], stored["y"], verbose=0)
tf_pai.verify(model)
print(tf_pai.sparsity(model), int(model.optimizer.iterations))
"""


@pytest.mark.parametrize("family", ["functional", "subclassed"])
def test_a_new_process_loads_a_model_with_nothing_but_two_imports(family, tmp_path):

    subject = FAMILIES.find(family)
    model, (x, y) = subject.build(), subject.data()
    model = pruned(model, optimizer="adam")
    model.fit(x, y, verbose=0)
    model.save(tmp_path / "model.keras")
    np.savez(tmp_path / "data.npz", x=x, y=y, outputs=outputs(model, x))
    own_classes = "yes" if family == "subclassed" else ""
    before, after = run(LOAD, tmp_path / "model.keras", tmp_path / "data.npz", own_classes)
    assert before == f"{tf_pai.sparsity(model)} 1" and after == f"{tf_pai.sparsity(model)} 2"


MIRRORED = """
import sys
import tensorflow as tf
device = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(device, [tf.config.LogicalDeviceConfiguration()] * 2)
import keras, numpy as np, tf_pai
from tests.layers.support import pruned
from tf_pai.layers import prunable_layers
from tf_pai.testing import FAMILIES
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
optimizers = [
    keras.optimizers.SGD(0.1, momentum=0.9),
    keras.optimizers.AdamW(1e-2, global_clipnorm=1.0),
    keras.optimizers.Muon(1e-2, use_ema=True, ema_momentum=0.5),
]
for optimizer in optimizers:
    with strategy.scope():
        own = type(optimizer).from_config(optimizer.get_config())
        model = pruned(FAMILIES.find("functional").build(), optimizer=own)
    x, y = FAMILIES.find("functional").data(32)
    model.fit(x, y, batch_size=16, epochs=2, verbose=0)
    for layer in prunable_layers(model).values():
        for weight, mask in layer.pairs.values():
            first, second = (replica.numpy() for replica in weight.value.values)
            assert np.array_equal(first, second) and not first[mask.numpy() == 0].any(), optimizer.name
            assert np.isfinite(first).all() and first.any()
print("zeros on both devices")
"""


def test_zeros_stay_on_every_device_of_a_mirrored_strategy():
    assert run(MIRRORED) == ["zeros on both devices"]


def test_a_stripped_model_loads_where_tf_pai_is_not(tmp_path):

    subject = FAMILIES.find("nested")
    x, _ = subject.data()
    model = pruned(subject.build(), optimizer="sgd")
    tf_pai.strip(model).save(tmp_path / "plain.keras")
    np.savez(tmp_path / "data.npz", x=x, outputs=outputs(model, x))
    program = """
import sys
sys.modules["tf_pai"] = None  # importing it fails
import keras, numpy as np
stored = np.load(sys.argv[2])
np.testing.assert_array_equal(keras.models.load_model(sys.argv[1])(stored["x"], training=False), stored["outputs"])
print("same")
"""
    assert run(program, tmp_path / "plain.keras", tmp_path / "data.npz") == ["same"]
