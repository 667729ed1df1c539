"""Sparse layers: building, values, structures that are damaged, sizes that no dense layer has."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tf_pai
from tests.kernels.conftest import built  # noqa: F401
from tf_pai.layers import SparseConv2D, SparseDense, SparseEinsumDense, SparseMultiHeadAttention

pytestmark = pytest.mark.usefixtures("built")

LAYERS = {
    "dense": (lambda **k: SparseDense(7, density=0.3, activation="relu", **k), (5, 6)),
    "dense, any leading axes": (lambda **k: SparseDense(7, density=0.3, activation="gelu", **k), (5, 2, 3, 6)),
    "1x1": (lambda **k: SparseConv2D(5, 1, density=0.4, **k), (3, 6, 6, 4)),
    "3x3, stride 2": (
        lambda **k: SparseConv2D(5, 3, density=0.2, strides=2, padding="same", activation="relu", **k),
        (3, 7, 6, 4),
    ),
    "einsum": (
        lambda **k: SparseEinsumDense("abc,cde->abde", (None, 2, 3), density=0.5, bias_axes="de", **k),
        (3, 4, 5),
    ),
    "einsum, two summed": (
        lambda **k: SparseEinsumDense("abcd,cde->abe", (None, 3), density=0.5, activation="relu", **k),
        (3, 4, 5, 2),
    ),
    "einsum, partial bias": (
        lambda **k: SparseEinsumDense(
            "abc,cde->abde", (None, 2, 3), density=0.5, bias_axes="e", activation="relu", **k
        ),
        (3, 4, 5),
    ),
}


@pytest.mark.parametrize("name", LAYERS)
def test_outputs_and_gradients_are_the_dense_layers(name):
    make, shape = LAYERS[name]
    layer, rng = make(seed=1), np.random.default_rng(0)
    x = tf.constant(rng.standard_normal(shape), "float32")
    layer.build(shape)
    if layer.bias is not None:
        layer.bias.assign(rng.standard_normal(layer.bias.shape))
    dense = layer.to_dense()
    found = []
    for one in (layer, dense):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = one(x)
            loss = tf.reduce_sum(y * y + y)
        by_x, by_kernel = tape.gradient(loss, [x, one._kernel.value])
        found.append([y.numpy(), by_x.numpy(), by_kernel.numpy()])
    found[1][2] = found[1][2].reshape(-1)[layer.positions()]
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a, b, atol=2e-5 * (1 + np.abs(b).max()))
    again = type(layer).from_dense(dense, layer.positions())
    assert np.array_equal(again.kernel.numpy(), layer.kernel.numpy())


@pytest.mark.parametrize("spread", ["uniform", "fan_in"])
@pytest.mark.parametrize("density", [0.001, 0.1, 0.7, 1.0])
def test_density_is_met_exactly(density, spread):
    layer = SparseDense(30, density=density, distribution=spread, seed=0)
    layer.build((None, 50))
    assert layer.nnz == max(1, round(density * 1500)) == np.count_nonzero(layer.as_bool())
    if spread == "fan_in":
        assert np.ptp(layer.as_bool().sum(axis=0)) <= 1
    same, other = (SparseDense(30, density=density, distribution=spread, seed=seed) for seed in (0, 1))
    for one in (same, other):
        one.build((None, 50))
    assert np.array_equal(same.positions(), layer.positions())
    assert density == 1 or not np.array_equal(other.positions(), layer.positions())


def test_initializers_see_the_fans_of_the_kept_weights():
    """he_normal: variance 2 / fan, and 20 of 400 inputs are kept."""
    layer = SparseDense(2000, density=0.05, kernel_initializer=keras.initializers.HeNormal(seed=0))
    layer.build((None, 400))
    assert layer.kernel.numpy().std() == pytest.approx(np.sqrt(2 / 20), rel=0.02)
    ones = SparseDense(3, density=0.5, kernel_initializer="ones")
    ones.build((None, 4))
    assert set(ones.kernel.numpy()) == {1.0}


def test_fans_are_those_of_keras():
    """Those of an Einstein sum are the products of the axes that are summed over, and of the others."""
    dense = keras.layers.EinsumDense("abc,cde->abde", (None, 40, 50), kernel_initializer="he_normal")
    sparse = SparseEinsumDense("abc,cde->abde", (None, 40, 50), density=1.0, kernel_initializer="he_normal")
    for layer in (dense, sparse):
        layer.build((None, 3, 30))
    assert sparse.kernel.numpy().std() == pytest.approx(dense.kernel.numpy().std(), rel=0.05)


@pytest.mark.parametrize(
    ("option", "value", "name"),
    [
        ("kernel_initializer", "orthogonal", "Orthogonal"),
        ("kernel_initializer", keras.initializers.Constant(np.ones((4, 3))), "Constant"),
        ("kernel_regularizer", keras.regularizers.OrthogonalRegularizer(), "OrthogonalRegularizer"),
        ("kernel_constraint", "unit_norm", "UnitNorm"),
    ],
)
def test_options_that_need_the_whole_matrix_are_refused(option, value, name):
    with pytest.raises(ValueError, match=f"Received: {option}={name}, which needs the whole matrix"):
        SparseDense(3, density=0.5, **{option: value})


class Holder(keras.Model):
    """Its layers are built by the first call, which may be traced."""

    def __init__(self, **options):
        super().__init__(**options)
        self.conv = SparseConv2D(4, 3, density=0.5, seed=0)
        self.attention = SparseMultiHeadAttention(2, 4, densities={"query": 0.5})
        self.flat = keras.layers.Flatten()
        self.fc = SparseDense(3, density=0.5, seed=0)

    def call(self, x):
        x = keras.ops.reshape(self.conv(x), (-1, 9, 4))
        return self.fc(self.flat(self.attention(x, x)))


@pytest.mark.parametrize("first", ["fit", "call", "function"])
def test_layers_that_a_trace_builds_have_their_structure(first):
    x, y = np.ones((8, 5, 5, 2), "float32"), np.zeros(8, int)
    model = Holder()
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    if first == "function":
        tf.function(model)(x)
    elif first == "call":
        model(x)
    model.fit(x, y, batch_size=4, verbose=0)
    assert tf_pai.verify(model) and tf_pai.sparsity(model) == pytest.approx(0.5, abs=0.2)
    assert model.fc.nnz == np.count_nonzero(model.fc.as_bool()) > 0
    assert list(tf_pai.get_masks(model))[::2] == ["conv/kernel", "fc/kernel"]  # not "sparse_dense_8/kernel"


def test_biases_that_have_the_size_of_the_outputs_by_chance():
    """[4, 3, 1] for outputs [12]: one for each place in the sequence, not for each output."""
    layer = SparseEinsumDense("abc,cde->abde", (4, 3, 4), density=0.5, bias_axes="bd", seed=0)
    x = np.random.default_rng(0).standard_normal((2, 4, 5)).astype("float32")
    layer.build(x.shape)
    layer.bias.assign(np.arange(12.0).reshape(4, 3, 1))
    np.testing.assert_allclose(layer(x), layer.to_dense()(x), atol=1e-5)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_other_types_of_weights_compute_without_the_kernels(dtype):
    layer = SparseDense(4, density=0.5, dtype=dtype)
    y = layer(np.ones((2, 8), "float32"))
    assert y.dtype == dtype and layer.kernel.dtype == dtype


def test_sparse_inputs_are_taken():
    layer = SparseDense(4, density=0.5, seed=0)
    np.testing.assert_array_equal(layer(tf.sparse.from_dense(np.eye(3, dtype="float32"))), layer(np.eye(3, dtype="f4")))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"density": 0}, r"in \(0, 1\]. Received: density=0"),
        ({"density": 1.5}, "Received: density=1.5"),
        ({"density": True}, "Received: density=True"),
        ({"density": 0.5, "distribution": "unifrom"}, "Received: distribution='unifrom'.* 'uniform'"),
    ],
)
def test_wrong_options(options, message):
    with pytest.raises(ValueError, match=message):
        SparseDense(4, **options)


def test_wrong_layers():
    with pytest.raises(ValueError, match="Received: data_format='channels_last', groups=2"):
        SparseConv2D(4, 3, density=0.5, groups=2)
    with pytest.raises(ValueError, match="Received: equation='abc,bcd->abd'"):
        SparseEinsumDense("abc,bcd->abd", (None, 3), density=0.5)
    layer = SparseDense(4, density=0.5)
    layer.build((None, 4))
    with pytest.raises(ValueError, match="Received: enable_lora on sparse"):
        layer.enable_lora(2)
    with pytest.raises(NotImplementedError, match="Received: quantize on sparse"):
        layer.quantize("int8")


def test_quantizing_a_model_leaves_sparse_layers_and_says_so():
    model, layer = small_model()
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8), layer, keras.layers.Dense(2)])
    with pytest.warns(UserWarning, match="Received: quantize on sparse"):
        model.quantize("int8")
    assert [getattr(part, "quantization_mode", None) for part in model.layers] == ["int8", None, "int8"]


def small_model():
    layer = SparseDense(6, density=0.5, seed=0, name="fc")
    return keras.Sequential([keras.Input((8,)), layer]), layer


TAMPERED = {
    "_col_idx": lambda a: np.full_like(a, 60000),
    "_row_ptr": lambda a: a[::-1].copy(),
    "_perm": lambda a: np.full_like(a, -7),
    "_row_idx": lambda a: np.full_like(a, 50000),
    "_col_ptr": lambda a: a + 10**6,
}


@pytest.mark.parametrize("name", TAMPERED)
def test_a_tampered_structure_is_an_error_and_no_crash(name):
    model, layer = small_model()
    variable = getattr(layer, name)
    variable.assign(TAMPERED[name](variable.numpy()))
    with pytest.raises(tf.errors.InvalidArgumentError):
        with tf.GradientTape() as tape:  # the forward pass reads three of the arrays, the backward pass two
            loss = tf.reduce_sum(layer(np.ones((2, 8), "float32")))
        tape.gradient(loss, layer.kernel.value)
    if name in ("_col_idx", "_row_ptr"):
        with pytest.raises(ValueError, match="fc"):
            tf_pai.verify(model)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"col_idx": lambda a: a + 6}, r"columns of .*fc lie in \[0, 6\)"),
        ({"col_idx": lambda a: a * 0}, "rise within each row"),
        ({"col_idx": lambda a: a[:-1]}, "row pointers of .*fc"),
        ({"row_ptr": lambda a: a[::-1]}, "row pointers of .*fc rise from 0 to 24, 9 of them"),
        ({"kernel": lambda a: a[:-1]}, "24 kept weights"),
        ({"other": lambda a: a}, "is stored as"),
    ],
)
def test_a_damaged_file_is_an_error(change, message):
    _, layer = small_model()
    store: dict = {}
    layer.save_own_variables(store)
    before = layer.get_weights()
    for name, function in change.items():
        store[name] = function(store.get(name, np.zeros(3)))
    with pytest.raises(ValueError, match=message):
        layer.load_own_variables(store)
    assert all(np.array_equal(a, b) for a, b in zip(before, layer.get_weights(), strict=True))


def test_set_positions_checks_first():
    _, layer = small_model()
    before = layer.get_weights()
    cases = (np.arange(5), "places for 24"), (np.full(24, 3), "once"), (np.arange(24) + 40, "must be in")
    for wrong, message in cases:
        with pytest.raises(ValueError, match=message):
            layer.set_positions(wrong)
    assert all(np.array_equal(a, b) for a, b in zip(before, layer.get_weights(), strict=True))


def test_layers_too_big_to_exist_densely():
    """100,000 x 100,000 weights would take 40 GB, and a mask of them 10 GB; one in a million is kept."""
    side = 100_000
    layer = SparseDense(side, density=1e-6, use_bias=False, seed=0, name="big")
    model = keras.Sequential([keras.Input((side,)), layer, SparseDense(2, density=0.1, seed=0, name="head")])
    model.compile("adam", "mse")
    x = np.ones((2, side), "float32")
    model.fit(x, np.ones((2, 2)), verbose=0)
    coordinates = tf_pai.get_masks(model, form="coo")["big/kernel"]
    assert coordinates.shape == (10_000, 2) and tf_pai.verify(model)
    assert tf_pai.sparsity(model) == pytest.approx(1 - 30_000 / (side**2 + 2 * side))
    moved = (coordinates + 1) % side
    tf_pai.set_masks(model, {"big/kernel": moved})
    again = tf_pai.get_masks(model, form="coo")["big/kernel"]
    assert np.array_equal(again, moved[np.lexsort((moved[:, 1], moved[:, 0]))])
    report = tf_pai.report(model)
    assert report.kept == 30_000 and any("too large" in note for note in report.notes)


def test_float64_computes_without_the_kernels():
    single, layer = small_model()
    double = SparseDense(6, density=0.5, seed=0, dtype="float64")
    double.build((None, 8))
    double.set_positions(layer.positions(), layer.kernel.numpy())
    x = np.random.default_rng(0).standard_normal((4, 8))
    np.testing.assert_allclose(double(x), single(x), atol=1e-6)
    assert double(x).dtype == "float64"
    compiled = tf.function(double, jit_compile=True)
    np.testing.assert_allclose(compiled(x), double(x), rtol=1e-12)  # XLA has none of the kernels
    graph = tf.function(double).get_concrete_function(tf.TensorSpec([None, 8], "float64")).graph
    assert not any(op.type.startswith("TfPai") for op in graph.get_operations())  # nor has who serves it
