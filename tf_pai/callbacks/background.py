"""Methods whose pruned weights live on in the background: masks of a dense network that goes on learning."""

from __future__ import annotations

from typing import Any

import keras

from tf_pai.callbacks.dense_start import DenseStart
from tf_pai.layers import prunable_layers
from tf_pai.layers.dynamic import DynamicLayer, forget, keep_dense_weights, set_dense_weights_aside


class BackgroundWeights(DenseStart):
    """Lets pruned weights keep their values while it trains; the network computes without them.

    During `fit`, `tf_pai.verify` therefore finds pruned weights that are not zero. When `fit` ends they are zero; what
    they were is kept aside in the model, until the schedule has run to its end.

    Args:
        sparsity: see `DenseStart`.
        distribution: "uniform" by default; see `DenseStart`.
        **kwargs: see `DynamicMasks`.
    """

    keeps_dense_weights = True
    exploration: tuple[float, float] | None = None

    def __init__(self, sparsity: float | None = None, distribution: Any = "uniform", **kwargs: Any):
        super().__init__(sparsity, distribution, **kwargs)

    def prepare(self, model: keras.Model) -> None:
        """Lets pruned weights go."""
        super().prepare(model)
        for layer in prunable_layers(model).values():
            keep_dense_weights(layer, self.exploration)
        _trace_again(model)

    def plan(self, step: int) -> tuple[list[int], list[int]]:
        """Returns the counts of the asked sparsity; without one, those that the masks have."""
        total = self.updater.counts() if self.sparsity is None else self.target(self.sparsity)
        return total, total

    def kept(self, step: int) -> int | None:
        """Returns what the asked sparsity keeps."""
        return super().kept(step) if self.sparsity is None else sum(self.target(self.sparsity))

    def retire(self, model: keras.Model, is_over: bool) -> None:
        """Makes pruned weights zero."""
        super().retire(model, is_over)
        for layer in prunable_layers(model).values():
            if is_over:
                forget(layer)
            elif isinstance(layer, DynamicLayer):
                set_dense_weights_aside(layer)
        _trace_again(model)


def _trace_again(model: keras.Model) -> None:
    """The layers compute otherwise than when the model's functions were traced."""
    model.train_function = model.test_function = model.predict_function = None
