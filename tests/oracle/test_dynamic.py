"""Dynamic masks against golden data: RigL and SET (TensorFlow), jaxpruner, ITOP, SNFS, SET (Keras), schedules."""

import math

import keras
import numpy as np
import pytest

from tests.oracle.nets import cases, golden
from tf_pai import set_masks
from tf_pai.callbacks import RigL, RigLITOP, rules
from tf_pai.callbacks.largest import largest
from tf_pai.callbacks.schedule import Periodic, drop_fraction
from tf_pai.callbacks.snfs import prune_rates, regrowth


def exchange(data, case, drop_fraction, rounding, weights="weights", grow="grad"):
    """The new mask by the library's own rule: only what is alive can be kept."""
    mask = data[f"{case}/mask"]
    alive = int(mask.sum())
    dropped = rules.drop_count(drop_fraction, alive, rounding)
    scores = np.abs(data[f"{case}/{weights}"]), np.abs(data[f"{case}/{grow}"])
    return rules.exchange(*scores, mask, alive - dropped, alive).numpy()


class TestRigLAndSETInTensorFlow:
    @pytest.mark.parametrize("grow, expected", [("grad", "rigl_new_mask"), ("set_grow_scores", "set_new_mask")])
    @pytest.mark.parametrize("case", ["case0", "case1", "case2", "case3"])
    def test_new_masks(self, case, grow, expected):
        data = golden("rigl_set_tf_dropgrow.npz")
        new = exchange(data, case, float(data[f"{case}/drop_fraction"]), "floor", grow=grow)
        assert (new == data[f"{case}/{expected}"]).all()

    @pytest.mark.parametrize("case", ["case0", "case1", "case2", "case3"])
    def test_authors_own_convention_lets_a_pruned_place_tie_with_a_zero_weight(self, case):
        data = golden("rigl_set_tf_dropgrow.npz")
        mask, weights = data[f"{case}/mask"], data[f"{case}/weights"]
        dropped = rules.drop_count(float(data[f"{case}/drop_fraction"]), int(mask.sum()))
        kept = largest(np.abs(weights * mask), int(mask.sum()) - dropped)
        new = rules.grow(np.abs(data[f"{case}/grad"]), kept, dropped).numpy()
        assert (new == data[f"{case}/rigl_new_mask"]).all()

    @pytest.mark.parametrize("case", ["case0", "case1", "case3"])
    def test_callback_gives_masks_weights_and_momentum(self, case):
        data = {key: golden("rigl_set_tf_dropgrow.npz")[f"{case}/{key}"] for key in KEYS}
        model = linear_model(data["weights"] * data["mask"], data["mask"])
        momentum = model.optimizer.momentums[0]
        momentum.assign(data["momentum"])
        callback = RigL(update_every=1, drop_fraction=float(data["drop_fraction"]), end_step=10, decay="constant")
        callback.set_model(model)
        assert callback.step(np.eye(len(data["grad"]), dtype="float32"), data["grad"])
        new = data["rigl_new_mask"] != 0
        (layer,) = model.layers
        assert (layer.get_masks()["kernel"] == new).all()
        np.testing.assert_array_equal(layer.kernel.numpy()[new], data["rigl_new_weights"][new])
        np.testing.assert_array_equal(momentum.numpy()[new], data["rigl_new_momentum"][new])


KEYS = (
    "weights",
    "mask",
    "grad",
    "momentum",
    "drop_fraction",
    "rigl_new_mask",
    "rigl_new_weights",
    "rigl_new_momentum",
)


class SumOfProducts(keras.losses.Loss):
    def __init__(self):
        super().__init__(reduction="sum")

    def call(self, y, out):
        return keras.ops.sum(y * out, axis=-1)


def linear_model(weights, mask):
    """A layer whose gradient, on the unit matrix, is the batch of labels."""
    layer = keras.layers.Dense(weights.shape[1], use_bias=False, name="fc")
    model = keras.Sequential([keras.Input((weights.shape[0],)), layer])
    layer.kernel.assign(weights)
    model = set_masks(model, {"fc/kernel": mask})
    model.compile(keras.optimizers.SGD(0.1, momentum=0.9), SumOfProducts())
    model.optimizer.build(model.trainable_variables)
    return model


@pytest.mark.parametrize("case", ["case0", "case1"])
@pytest.mark.parametrize("draw", range(4))
def test_jaxpruner(case, draw):
    data = golden("jaxpruner.npz")
    inputs = {f"{case}/{key}": data[f"{case}/{key}"] for key in ("weights", "grad")}
    inputs |= {f"{case}/mask": data[f"{case}/dyn{draw}/mask"], f"{case}/rand": data[f"{case}/dyn{draw}/rand_scores"]}
    fraction = float(data[f"{case}/dyn{draw}/drop_fraction"])
    assert (exchange(inputs, case, fraction, "round") == data[f"{case}/dyn{draw}/rigl_new_mask"]).all()
    assert (exchange(inputs, case, fraction, "round", grow="rand") == data[f"{case}/dyn{draw}/set_new_mask"]).all()


@pytest.mark.parametrize("net", cases("itop_rigl"))
@pytest.mark.parametrize("case", ["c0", "c1"])
def test_itop(net, case):
    data = golden(f"{net}__itop_rigl.npz")
    layers = [key.rpartition("/")[2] for key in data.files if key.startswith(f"{case}/new_mask/")]
    for layer in layers:
        part = {f"x/{key}": data[f"{case}/{key}/{layer}"] for key in ("weight", "mask", "grad")}
        new = exchange(part, "x", float(data[f"{case}/prune_rate"]), RigLITOP().rounding, weights="weight")
        assert (new == data[f"{case}/new_mask/{layer}"]).all(), layer


class TestSNFS:
    @pytest.mark.parametrize("net", cases("snfs"))
    @pytest.mark.parametrize("case", ["c0", "c1"])
    def test_shares_rates_growth_and_masks(self, net, case):
        data = golden(f"{net}__snfs.npz")
        names = [key.rpartition("/")[2] for key in data.files if key.startswith(f"{case}/redistribution/")]

        def of(key):
            return [data[f"{case}/{key}/{name}"] for name in names]

        masks = [mask != 0 for mask in of("mask")]
        means = [np.abs(m[mask]).mean() for m, mask in zip(of("momentum"), masks, strict=True)]
        shares = [mean / sum(means) for mean in means]
        np.testing.assert_allclose(shares, of("redistribution"), rtol=1e-6)
        rates = prune_rates(shares, [1 - mask.mean() for mask in masks], float(data[f"{case}/prune_rate"]))
        np.testing.assert_allclose(rates, of("layer_prune_rate"), rtol=1e-12)
        removed = [rules.drop_count(rate, int(mask.sum()), "ceil") for rate, mask in zip(rates, masks, strict=True)]
        assert removed == [int(n) for n in of("removed")]
        room = [int((~mask).sum()) + n for mask, n in zip(masks, removed, strict=True)]
        grown = [math.floor(n) for n in regrowth(shares, room, sum(removed))]
        assert grown == [int(n) for n in of("regrowth_float")]
        for i, mask in enumerate(masks):
            weight, momentum = np.abs(of("weight")[i]), np.abs(of("momentum")[i])
            keep = int(mask.sum()) - removed[i]
            new = rules.exchange(weight, momentum, mask, keep, keep + grown[i]).numpy()
            assert (new == of("new_mask")[i]).all(), names[i]


@pytest.mark.parametrize("zeta", [0.3, 0.1])
@pytest.mark.parametrize("epsilon", [2, 4])
@pytest.mark.parametrize("case", [0, 1])
def test_set_in_keras_drops_the_smallest_of_either_sign(case, epsilon, zeta):
    data, prefix = golden("set_keras_rewire.npz"), f"case{case}/eps{epsilon}/zeta{zeta}"
    weights, mask = data[f"{prefix}/weights"], data[f"{prefix}/mask"]
    core = data[f"{prefix}/core_mask_after_drop"] != 0
    kept = rules.drop_by_sign(weights, mask, int(core.sum())).numpy()
    assert (kept == core).all()
    new = rules.grow(rules.uniform(weights.shape, (0, 1)), kept, int(mask.sum() - core.sum())).numpy()
    assert (new >= core).all() and new.sum() == (data[f"{prefix}/new_mask_randomgrow"] != 0).sum()


class TestSchedules:
    def test_update_steps(self):
        steps = golden("rigl_schedule.json")["mask_update_steps_begin5_end50_freq7"]
        schedule = Periodic(every=7, begin=5, end=50)
        assert [step for step in range(100) if schedule.is_due(step)] == steps

    @pytest.mark.parametrize(
        "key, decay, from_begin",
        [("constant", "constant", True), ("cosine", "cosine", False), ("exponential", "linear", True),
         ("exponential_3", "cubic", True)],
    )  # fmt: skip
    def test_drop_fraction(self, key, decay, from_begin):
        data = golden("rigl_schedule.json")
        schedule = Periodic(every=1, begin=100, end=1100, decays_from_begin=from_begin)
        got = [drop_fraction(0.3, decay, schedule.progress(step)) for step in data["steps"]]
        np.testing.assert_allclose(got, data[key], atol=1e-7)

    def test_itop_cosine(self):
        data = golden("itop_cosine_death_rate.npz")
        schedule = Periodic(every=1, end=int(data["T_max"]))
        final = float(data["eta_min"])
        got = [drop_fraction(float(data["initial"]), "cosine", schedule.progress(t), final) for t in range(101)]
        np.testing.assert_allclose(got, data["values"], rtol=1e-9)
