"""Iterative magnitude pruning against open_lth's masks, level by level."""

import keras
import numpy as np
import pytest

from tests.oracle.nets import golden
from tf_pai.criteria import Magnitude
from tf_pai.static.method import StaticMethod
from tf_pai.static.plan import make_plan
from tf_pai.tickets import Bench, Routine
from tf_pai.tickets.search import Search

LAYERS = {"mlp_s0": ("fc1", "fc2", "fc3"), "conv_s7": ("conv1", "conv2", "fc")}


def network(case: str, stored) -> keras.Model:
    """Kernels of the shapes in the file, in its order; how they are connected does not matter to their magnitudes."""
    inputs = keras.Input((8, 8, 3) if case.startswith("conv") else (20,))
    x = inputs
    for name in LAYERS[case]:
        shape = stored[f"all/level1/trained/{name}"].shape
        if len(shape) == 4:
            x = keras.layers.Conv2D(shape[-1], shape[0], padding="same", name=name)(x)
        else:
            x = keras.layers.GlobalAveragePooling2D()(x) if len(x.shape) == 4 else x
            x = keras.layers.Dense(shape[-1], name=name)(x)
    model = keras.Model(inputs, x)
    model.compile("sgd", "mse")
    return model


@pytest.mark.parametrize("case", LAYERS)
@pytest.mark.parametrize("which", ["all", "ignore_last"])
def test_eight_levels(case, which):
    stored = golden(f"{case}__imp_open_lth.npz")
    last = LAYERS[case][-1]
    model = network(case, stored)
    plan = make_plan(
        model, StaticMethod(Magnitude(), distribution="global"), 0.5, None, None, None, 0, None,
        last if which == "ignore_last" else None,
    )  # fmt: skip
    bench = Bench(model, Routine((np.zeros((1, *model.input_shape[1:])), np.zeros((1, 5))), 1), list(plan.weights))
    search = Search("lth", bench, plan, None, 0.2, None, {})
    masks, total = bench.dense(), sum(weight.variable.numpy().size for weight in plan.weights.values())
    for level in range(1, 9):
        trained = {f"{n}/kernel": stored[f"{which}/level{level}/trained/{n}"] for n in LAYERS[case]}
        wanted = {f"{n}/kernel": stored[f"{which}/level{level}/mask/{n}"].astype(bool) for n in LAYERS[case]}
        # How many go is theirs: ceil(p * remaining) + 1, of all weights, those of an ignored layer included.
        kept = sum(int(wanted[path].sum()) for path in plan.weights)
        masks = search.next_masks(masks, trained, kept / total)
        assert all(np.array_equal(masks[path], wanted[path]) for path in plan.weights), level
