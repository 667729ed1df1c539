"""SET: drop by magnitude, by sign; grow at random."""

from __future__ import annotations

import tensorflow as tf

from tf_pai.callbacks import rules
from tf_pai.callbacks.base import DynamicMasks
from tf_pai.callbacks.weights import WeightState
from tf_pai.registry import register_method


@register_method(
    "set",
    survey_name="SET",
    year=2018,
    reference="Mocanu et al., Nature Communications 2018",
    track="dynamic",
    table_row="Table 3, row 3",
    k1="K",
)
class SET(DynamicMasks):
    """Every `update_every` steps, drops the smallest positive and largest negative weights, and grows at random.

    The same fraction of the positive as of the negative weights goes; as many come to life, at zero, anywhere in the
    layer. Sparse layers are moved in place.

    Args:
        *args: see `DynamicMasks`.
        **kwargs: see `DynamicMasks`.

    Example:
        >>> import tf_pai
        >>> tf_pai.callbacks.SET(update_every="1ep", drop_fraction=0.3, decay="constant", seed=0).layerwise
        True

    Reference: Mocanu et al. 2018, "Scalable training of artificial neural networks with adaptive sparse connectivity
    inspired by network science", algorithm 1.

    Differs from the paper in: updates every 100 steps with a cosine decay until 75 % of the training, as RigL's
    comparison runs it; the paper's own is update_every="1ep", decay="constant", end_step= the last epoch's start.
    """

    moves_sparse = True

    def drop(self, state: WeightState) -> tf.Tensor:
        """Returns what survives of either sign."""
        return rules.drop_by_sign(state.value, state.alive, state.keep)
