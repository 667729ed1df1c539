"""Every family of keras.applications: prune, one training step, save, load, strip, with equal outputs."""

import os

import keras
import numpy as np
import pytest

import tf_pai
from tf_pai.layers import PrunableLayer
from tf_pai.networks import build

# The smallest member of each family, and the smallest images it takes (multiples of its strides, where it has these).
SMALLEST = {
    "ConvNeXtTiny": 32,
    "DenseNet121": 32,
    "EfficientNetB0": 32,
    "EfficientNetV2B0": 32,
    "InceptionResNetV2": 75,
    "InceptionV3": 75,
    "MobileNet": 32,
    "MobileNetV2": 32,
    "MobileNetV3Small": 32,
    "NASNetMobile": 32,
    "ResNet50": 32,
    "ResNet50V2": 32,
    "VGG16": 32,
    "Xception": 71,
}
# In each test run: the quickest two; they have depthwise convolutions, and squeeze-and-excite blocks.
QUICK = ("MobileNet", "MobileNetV3Small")
NAMES = list(SMALLEST) if os.environ.get("TF_PAI_TEST_ALL") else QUICK


def test_each_family_is_here():
    """A family is a module of keras.applications; those of one paper in two modules count as two."""
    modules = {
        vars(keras.applications)[name].__module__.rpartition(".")[2]
        for name in dir(keras.applications)
        if name[0].isupper()
    }
    here = {vars(keras.applications)[name].__module__.rpartition(".")[2] for name in SMALLEST}
    assert modules - here <= {"vgg19"}  # VGG16's larger sister, in a module of its own


def _outputs(model, x):
    return np.asarray(model(x, training=False))


@pytest.mark.parametrize("name", NAMES)
def test_pruned_trained_saved_loaded_and_stripped_it_computes_the_same(name, tmp_path):
    size = SMALLEST[name]
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((2, size, size, 3)).astype("float32"), rng.integers(0, 10, 2)
    dense = build(f"applications:{name}", input_shape=(size, size, 3), classes=10, seed=None)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model = tf_pai.prune_at_init(dense, "snip", 0.9, data=(x, y), loss=loss, seed=0, min_keep=1)
    masks = tf_pai.get_masks(model)
    kept, total = sum(int(mask.sum()) for mask in masks.values()), sum(mask.size for mask in masks.values())
    assert kept == round(0.1 * total)
    model.compile(keras.optimizers.SGD(1e-3, momentum=0.9), loss)
    model.train_on_batch(x, y)
    assert tf_pai.verify(model)
    outputs = _outputs(model, x)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(_outputs(loaded, x), outputs)
    assert all(np.array_equal(mask, masks[path]) for path, mask in tf_pai.get_masks(loaded).items())
    plain = tf_pai.strip(model)
    np.testing.assert_array_equal(_outputs(plain, x), outputs)
    assert not any(isinstance(layer, PrunableLayer) for layer in plain._flatten_layers())
