"""ProsPr: what the mask does to the loss after a few steps of training."""

from __future__ import annotations

import tensorflow as tf

from tf_pai.criteria.base import Criterion, Masks, Scores
from tf_pai.criteria.problem import Batch, Problem, Tensors
from tf_pai.registry import nearest


class ProsPr(Criterion):
    """s = |dL(w_n)/dc| at c = 1, where w_0 = c * w and w_n is what n steps of SGD make of w_0.

    All trainable variables take part in the steps, biases and BatchNorm's too. The derivative goes back through the
    steps, one Hessian-vector product each, so that memory holds n copies of the weights but a single step's
    activations, and a logical batch in pieces gives the same score as the whole.

    Args:
        steps: n.
        learning_rate: of the inner steps.
        momentum: of the inner steps.
        order: "full", or "first" for the derivative that takes the steps' gradients as constants.
        training: BatchNorm's mode; the authors' code scores in training mode.

    Example:
        >>> ProsPr(steps=1, order="first")
        ProsPr(steps=1, order='first')

    Raises:
        ValueError: no step, or another order.

    Reference: Alizadeh et al. 2022, "Prospect pruning: finding trainable weights at initialization using
    meta-gradients", section 3 and algorithm 1.

    Differs from the paper in: as in the authors' code, momentum starts with the first gradient as a constant. Each
    step takes the next batch of a dataset, and starts over at its end; of arrays, the same batch.
    """

    def __init__(
        self,
        steps: int = 3,
        learning_rate: float = 0.5,
        momentum: float = 0.9,
        order: str = "full",
        training: bool = True,
    ):
        if steps < 1:
            raise ValueError(f"ProsPr takes at least one step. Received: steps={steps}.")
        if order not in ("full", "first"):
            raise ValueError(
                f'The order of the meta-gradient is "full" or "first". Received: order={order!r}.'
                f"{nearest(str(order), ['full', 'first'])}"
            )
        self.steps, self.learning_rate, self.momentum, self.order = steps, learning_rate, momentum, order
        self.training, self.batches = training, steps + 1  # one more for the loss after the steps

    def score(self, problem: Problem, masks: Masks) -> Scores:
        """Returns |w * dL(w_n)/dw_0|; pruned weights stay at zero during the steps."""
        everything = problem.over_trainables()
        kept = [tf.cast(masks[path], "float32") if path in masks else tf.constant(1.0) for path in everything.paths]
        batches = everything.logical_batches()
        batches = [batches[step % len(batches)] for step in range(self.steps + 1)]
        start = [w * m for w, m in zip(everything.tensors(), kept, strict=True)]
        trajectory = self._train(everything, start, kept, batches)
        meta = dict(zip(everything.paths, self._meta_gradient(everything, trajectory, kept, batches), strict=True))
        pairs = zip(problem.paths, problem.tensors(), strict=True)
        return problem.arrays([tf.abs(w * meta[path]) for path, w in pairs])

    def _gradient(self, problem: Problem, values: Tensors, batches: list[Batch]) -> Tensors:
        def gradient(batch: Batch, values: Tensors) -> Tensors:
            return problem.gradient(batch, values, self.training)

        return problem.sum_over_batches("g", gradient, values, batches=batches)

    def _product(self, problem: Problem, values: Tensors, direction: Tensors, batches: list[Batch]) -> Tensors:
        def product(batch: Batch, values: Tensors, direction: Tensors) -> Tensors:
            return problem.hessian_product(batch, values, direction, self.training)

        return problem.sum_over_batches("Hv", product, values, direction, batches=batches)

    def _train(self, problem: Problem, start: Tensors, kept: Tensors, batches: list[list[Batch]]) -> list[Tensors]:
        """Returns w_0 ... w_n."""
        trajectory = [start]
        velocity = [tf.zeros_like(w) for w in start]
        for batch in batches[:-1]:
            gradients = self._gradient(problem, trajectory[-1], batch)
            velocity = [self.momentum * v + g * m for v, g, m in zip(velocity, gradients, kept, strict=True)]
            trajectory.append([w - self.learning_rate * v for w, v in zip(trajectory[-1], velocity, strict=True)])
        return trajectory

    def _meta_gradient(
        self, problem: Problem, trajectory: list[Tensors], kept: Tensors, batches: list[list[Batch]]
    ) -> Tensors:
        """Returns dL(w_n)/dw_0, from the last step to the first: a = dL/dw_t, b = dL/dv_t, v the velocity."""
        a = self._gradient(problem, trajectory[-1], batches[-1])
        if self.order == "first":
            return a
        b = [tf.zeros_like(w) for w in a]
        first = 1 if self.momentum else 0  # momentum starts with a constant
        for step in range(self.steps - 1, first - 1, -1):
            b = [self.momentum * bi - self.learning_rate * ai for bi, ai in zip(b, a, strict=True)]
            direction = [bi * m for bi, m in zip(b, kept, strict=True)]
            products = self._product(problem, trajectory[step], direction, batches[step])
            a = [ai + hb for ai, hb in zip(a, products, strict=True)]
        return a

    def __repr__(self) -> str:
        return f"ProsPr(steps={self.steps}, order={self.order!r})"
