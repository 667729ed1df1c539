"""Scores of networks of one to three weights, worked out by hand in the comments."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tf_pai
from tf_pai import criteria

L = keras.layers


def linear(weights, loss="mse"):
    """One Dense layer without bias."""
    weights = np.array(weights, "float32")
    layer = L.Dense(weights.shape[1], use_bias=False, name="fc")
    model = keras.Sequential([keras.Input((weights.shape[0],)), layer])
    layer.kernel.assign(weights)
    model.compile(loss=loss)
    return model


def arrays(x, y):
    return np.array(x, "float32"), np.array(y, "float32")


# One linear unit, f = w . x, L = (f - y)^2; w = (1, -2), x = (3, 1), y = 2: f = 1, and
#   g = 2 (f - y) x = -2 x = (-6, -2)
#   H = 2 x x^T = [[18, 6], [6, 2]]
ONE_UNIT = linear([[1], [-2]]), arrays([[3, 1]], [[2]])
# Two batches of one example: the one above, and (1, 0) -> 0 with f = 1, g = (2, 0), H = [[2, 0], [0, 0]]
TWO_BATCHES = ONE_UNIT[0], tf.data.Dataset.from_tensor_slices(arrays([[3, 1], [1, 0]], [[2], [0]])).batch(1)


def scores_of(criterion, network=ONE_UNIT, **options):
    model, data = network
    return tf_pai.score(model, criterion, data=data, **options)["fc/kernel"].ravel().tolist()


def test_skeletonization_keeps_its_sign():
    # -g * w = (6 * 1, 2 * -2): removing w_0 raises the loss, removing w_1 lowers it
    assert scores_of("skeletonization") == [6, -4]


def test_skeletonization_is_the_change_of_the_loss_to_first_order():
    # L(w_0 -> 0.999) - L(w): f = 1 - 0.003, (1.003)^2 - 1 = 0.006009 = 0.001 * 6 + second order
    x, y = ONE_UNIT[1]
    rise = linear([[0.999], [-2]]).evaluate(x, y, verbose=0) - 1.0
    assert rise == pytest.approx(0.001 * scores_of("skeletonization")[0], rel=0.01)


def test_snip_is_the_size_of_that_change():
    assert scores_of("snip") == [6, 4]


def test_taylor_fo_is_its_square():
    assert scores_of("taylor_fo") == [36, 16]


def test_magnitude():
    assert scores_of("magnitude") == [1, 2]


def test_obd():
    # diag(H) w^2 / 2 = (18 * 1 / 2, 2 * 4 / 2)
    assert scores_of(criteria.OBD("exact")) == [9, 4]


def test_obd_of_a_diagonal_hessian_needs_one_probe():
    # with x = (3, 0), H = diag(18, 0), and z * Hz = diag(H) for every z of signs
    assert scores_of(criteria.OBD(probes=1), (ONE_UNIT[0], arrays([[3, 0]], [[2]]))) == [9, 0]


def test_obd_by_probes_is_unbiased():
    # z * Hz = diag(H) + 6 z_0 z_1: 400 probes leave a deviation of 6 / 20 of 18 and 2, so 0.15 and 0.6 of the scores
    estimate = scores_of(criteria.OBD(probes=400), seed=0)
    assert estimate[0] == pytest.approx(9, abs=4 * 0.15)
    assert estimate[1] == pytest.approx(4, abs=4 * 0.6)


def test_grasp_keeps_what_the_gradient_flow_needs():
    # Hg = (18 * -6 + 6 * -2, 6 * -6 + 2 * -2) = (-120, -40); w * Hg = (-120, 80).
    # |g|^2 = 40. Shrinking w_1 lowers it, shrinking w_0 raises it: w_0 goes first, and w_1, the higher, stays.
    # The paper's score -w * Hg is (120, -80), and it keeps the lowest.
    assert scores_of("grasp") == [-120, 80]
    x = ONE_UNIT[1][0][0]
    flows = [np.sum((2 * (w @ x - 2) * x) ** 2) for w in (np.array([1, -2]), np.array([0.9, -2]), np.array([1, -1.8]))]
    assert flows[0] == 40 and flows[1] > 40 > flows[2]


def test_grasp_of_two_batches_sums_gradients_first():
    # sum g = (-4, -2), sum H = [[20, 6], [6, 2]]; Hg = (-92, -28); w * Hg = (-92, 56)
    assert scores_of("grasp", TWO_BATCHES, batches=2) == [-92, 56]


def test_gradients_are_summed_before_the_absolute_value():
    # g of the two batches: (-6, -2) and (2, 0); |w * sum g| = (4, 4), where the sum of |w * g| would be (8, 4)
    assert scores_of("snip", TWO_BATCHES, batches=2) == [4, 4]
    assert scores_of("taylor_fo", TWO_BATCHES, batches=2) == [16, 16]
    assert scores_of("skeletonization", TWO_BATCHES, batches=2) == [4, -4]


def test_one_batch_of_a_dataset_is_the_default():
    assert scores_of("snip", TWO_BATCHES) == [6, 4]


def test_arrays_are_one_batch_with_a_mean_loss():
    # the mean of (-6, -2) and (2, 0) is (-2, -1): |w * g| = (2, 2)
    assert scores_of("snip", (ONE_UNIT[0], arrays([[3, 1], [1, 0]], [[2], [0]]))) == [2, 2]


@pytest.mark.parametrize("temperature", [1.0, 200.0])
def test_grasps_temperature(temperature):
    # Two classes, logits z = w x / T with x = 1, w = (1, 1), label 0: p = (1/2, 1/2);
    # g = (p - e_0) / T = (-1/2, 1/2) / T; H = (diag(p) - p p^T) / T^2 = [[1, -1], [-1, 1]] / (4 T^2);
    # w * Hg = Hg = (-1, 1) / (4 T^3)
    model = linear([[1, 1]], keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    data = np.ones((1, 1), "float32"), np.array([0])
    wanted = (np.array([-1, 1]) / (4 * temperature**3)).tolist()
    assert scores_of(criteria.GraSP(temperature=temperature), (model, data)) == pytest.approx(wanted, rel=1e-5)


def two_layers():
    """f = v (u . x), u = (1, -2), v = -3."""
    first, second = L.Dense(1, use_bias=False, name="u"), L.Dense(1, use_bias=False, name="v")
    model = keras.Sequential([keras.Input((2,)), first, second])
    first.kernel.assign([[1.0], [-2.0]])
    second.kernel.assign([[-3.0]])
    model.compile(loss="mse")
    return model


def test_synflow():
    # R = 3 * (1 * 1 + 2 * 1) = 9; |w| dR/d|w| = (1 * 3, 2 * 3) for u and 3 * 3 for v: flow is conserved, 3 + 6 = 9
    scores = tf_pai.score(two_layers(), "synflow")
    assert scores["u/kernel"].ravel().tolist() == [3, 6]
    assert scores["v/kernel"].ravel().tolist() == [9]


def test_prospr_after_one_step_without_momentum():
    # f = w x, L = f^2, x = 1, w = 1, learning rate 1/4: w_1 = w - 2 w / 4 = w / 2.
    # L(w_1) = c^2 / 4 for w = c: dL/dc = 1/2. First order: g(w_1) * w = 2 * 1/2 * 1 = 1
    network = linear([[1]]), arrays([[1]], [[0]])
    one_step = {"steps": 1, "learning_rate": 0.25, "momentum": 0.0}
    assert scores_of(criteria.ProsPr(**one_step), network) == [0.5]
    assert scores_of(criteria.ProsPr(**one_step, order="first"), network) == [1.0]


def test_prosprs_momentum_starts_with_a_constant():
    # f = w x, L = (f - 2)^2, x = 1, w = 1, learning rate 1/8, momentum 1/2, two steps:
    # v_1 = 2 (1 - 2) = -2, a constant; w_1 = 1 + 2/8 = 1.25, dw_1/dw = 1;
    # v_2 = v_1 / 2 + 2 (w_1 - 2) = -2.5, dv_2/dw = 2; w_2 = 1.25 + 2.5/8 = 1.5625, dw_2/dw = 1 - 2/8 = 3/4;
    # dL/dc = 2 (1.5625 - 2) * 3/4 = -0.65625
    network = linear([[1]]), arrays([[1]], [[2]])
    assert scores_of(criteria.ProsPr(2, learning_rate=0.125, momentum=0.5), network) == [0.65625]


def test_prospr_takes_the_next_batch_at_each_step():
    # Batches (x, y) = (1, 0) for the step, (2, 1) for the loss after it; w = 1, learning rate 1/8:
    # w_1 = 1 - 2/8 = 3/4, f = 1.5, g = 2 (1.5 - 1) * 2 = 2; with (1, 0) alone, g = 2 * 3/4 = 1.5
    data = tf.data.Dataset.from_tensor_slices(arrays([[1], [2]], [[0], [1]])).batch(1)
    criterion = criteria.ProsPr(1, learning_rate=0.125, momentum=0.0, order="first")
    assert scores_of(criterion, (linear([[1]]), data)) == [2.0]
    assert scores_of(criterion, (linear([[1]]), arrays([[1]], [[0]]))) == [1.5]


def test_force_scores_dense_weights_with_the_masked_networks_gradient():
    # u_1 pruned, x = (1, 1), y = 0: h = 1, f = -3, dL/df = -6; dL/du = -6 * -3 * x = (18, 18), dL/dv = -6 * h = -6.
    # |w g| = (18, 36) and 18: the pruned weight scores by its dense value
    pruned = tf_pai.set_masks(two_layers(), {"u/kernel": [[1], [0]], "v/kernel": [[1]]})
    pruned.get_layer("u").kernel.assign([[1.0], [-2.0]])
    scores = tf_pai.score(pruned, "force", data=arrays([[1, 1]], [[0]]))
    assert scores["u/kernel"].ravel().tolist() == [18, 36]
    assert scores["v/kernel"].ravel().tolist() == [18]


def test_force_revives_and_iter_snip_does_not():
    assert criteria.FORCE().revives and not criteria.IterSNIP().revives


def test_iterative_grasp_sees_the_pruned_network_only():
    # With w_1 = 0 for good: f = w_0 x_0 = 3, g_0 = 2 * (3 - 2) * 3 = 6, H_00 = 18; w * Hg = (6 * 18, 0)
    pruned = tf_pai.set_masks(linear([[1], [-2]]), {"fc/kernel": [[1], [0]]})
    assert scores_of("grasp", (pruned, ONE_UNIT[1])) == [108, 0]


def test_ntk_sap_of_a_linear_unit():
    # f = m w x; moving w by e changes f by m e x, so D = sum_x (m e x)^2 and dD/dm = 2 m e^2 sum x^2: no w in it, and
    # four times as much for twice the e
    model = linear([[5.0]])
    a, b = (scores_of(criteria.NTKSAP(epsilon), (model, None), seed=0)[0] for epsilon in (0.01, 0.02))
    assert b == pytest.approx(4 * a, rel=1e-2)
    assert scores_of(criteria.NTKSAP(0.02, redraw=False), (model, None), seed=0)[0] > 0


def test_phew_goes_where_the_weights_are():
    # 2 -> 2 -> 1: u = [[0, 0], [0, 1]], v = (0, 1). The walk from the output must take v_1 and u_11, and so must the
    # one from input 1; only input 0, which has zeros alone, takes any of its two.
    first, second = L.Dense(2, use_bias=False, name="u"), L.Dense(1, use_bias=False, name="v")
    model = keras.Sequential([keras.Input((2,)), first, second])
    first.kernel.assign([[0.0, 0.0], [0.0, 1.0]])
    second.kernel.assign([[0.0], [1.0]])
    masks = tf_pai.get_masks(tf_pai.prune_at_init(model, "phew", 0.5, seed=0))
    assert masks["u/kernel"][1, 1] and masks["v/kernel"][1, 0]
    assert not masks["u/kernel"][1, 0]
