"""RigL: drop by magnitude, grow by gradient."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from tf_pai.callbacks.base import DynamicMasks
from tf_pai.callbacks.weights import WeightState
from tf_pai.registry import register_method


@register_method(
    "rigl",
    survey_name="RigL",
    year=2020,
    reference="Evci et al., ICML 2020",
    track="dynamic",
    table_row="Table 3, row 6",
    k1="K",
)
class RigL(DynamicMasks):
    """Every `update_every` steps, drops the smallest |w| of each layer and grows the largest |dL/dw| in it.

    The gradient is the dense one of the current batch. The fraction is alpha / 2 * (1 + cos(pi t / T_end)), until 75 %
    of the training. Weights that come to life are zero, and their optimizer slots are as new; one that is dropped and
    grown again in the same update keeps its value. Sparse layers are moved in place; the dense gradient of each exists
    in steps that update masks only.

    Args:
        train_on_update: whether a step that updates masks also trains. The authors' code replaces its update of the
            weights; most others do both, as here by default.
        **kwargs: see `DynamicMasks`.

    Example:
        >>> import keras, numpy as np, tf_pai
        >>> model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(4), keras.layers.Dense(2)])
        >>> model = tf_pai.prune_at_init(model, "random", 0.5, distribution="erk", seed=0)
        >>> model.compile("sgd", "mse")
        >>> rigl = tf_pai.callbacks.RigL(update_every=2, drop_fraction=0.3, end_step=8, seed=0)
        >>> history = model.fit(np.ones((16, 8)), np.ones((16, 2)), batch_size=2, verbose=0, callbacks=[rigl])
        >>> round(tf_pai.sparsity(model), 2), [update.step for update in rigl.history.updates]
        (0.5, [2, 4, 6, 8])

    Reference: Evci et al. 2020, "Rigging the lottery: making all tickets winners", algorithm 1.
    """

    moves_sparse = True
    reads_gradient = True

    def __init__(self, *args: Any, train_on_update: bool = True, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.train_on_update = train_on_update

    def grow_score(self, state: WeightState) -> tf.Tensor:
        """Returns |dL/dw|."""
        return state.gradient_size()
