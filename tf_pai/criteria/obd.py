"""OBD, optimal brain damage: the second-order change of the loss."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from tf_pai.criteria.base import Criterion, Masks, Scores
from tf_pai.criteria.problem import Batch, Problem, Tensors
from tf_pai.registry import nearest


class OBD(Criterion):
    """s = diag(H) * w^2 / 2, H the Hessian of the loss: its second-order change where the gradient is zero.

    The score keeps the sign of diag(H), as the survey's formula does.

    Args:
        hessian: "hutchinson" for the unbiased estimate of diag(H) = E[z * Hz] over random signs z; "exact" for one
            Hessian-vector product per weight, for networks of some thousand weights at most.
        probes: number of draws of z that the estimate averages, each for the price of two gradients; its variance is
            the sum of squares of the row's other entries, divided by `probes`.
        training: BatchNorm's mode while scoring; the paper is older than BatchNorm.

    Example:
        >>> OBD(probes=8)
        OBD(Hutchinson, 8 probes)

    Raises:
        ValueError: another `hessian`, or no probe.

    Reference: LeCun et al. 1990, "Optimal brain damage", step 4 of the recipe; survey Table 2, row 2. The estimate:
    Bekas et al. 2007, "An estimator for the diagonal of a matrix".

    Differs from the paper in: the paper computes diag(H) in the Levenberg-Marquardt approximation and of a trained
    network; here it is that of the Hessian itself, at initialization.
    """

    def __init__(self, hessian: str = "hutchinson", probes: int = 32, training: bool = False):
        if hessian not in ("hutchinson", "exact"):
            raise ValueError(
                f'A Hessian\'s diagonal is "hutchinson" or "exact". Received: hessian={hessian!r}.'
                f"{nearest(str(hessian), ['hutchinson', 'exact'])}"
            )
        if probes < 1:
            raise ValueError(f"The estimate needs at least one probe. Received: probes={probes}.")
        self.hessian, self.probes, self.training = hessian, probes, training

    def score(self, problem: Problem, masks: Masks) -> Scores:
        """Returns diag(H) * w^2 / 2 of the pruned network; H is the sum over batches."""
        values = problem.masked(masks)
        diagonal = self._exact(problem, values) if self.hessian == "exact" else self._estimate(problem, values)
        return problem.arrays([h * tf.square(w) / 2 for w, h in zip(problem.tensors(), diagonal, strict=True)])

    def _estimate(self, problem: Problem, values: Tensors) -> Tensors:
        def product(batch: Batch, values: Tensors, z: Tensors) -> Tensors:
            return problem.hessian_product(batch, values, z, self.training)

        generator = problem.generator()
        total = [tf.zeros_like(value) for value in values]
        for _ in range(self.probes):
            z = [tf.constant(generator.choice(np.array([-1, 1], "float32"), value.shape)) for value in values]
            products = problem.sum_over_batches("Hz", product, values, z)
            total = [t + zi * hz / self.probes for t, zi, hz in zip(total, z, products, strict=True)]
        return total

    def _exact(self, problem: Problem, values: Tensors) -> Tensors:
        def diagonal(batch: Batch, values: Tensors) -> Tensors:
            return [self._diagonal_of(problem, batch, values, place) for place in range(len(values))]

        return problem.sum_over_batches("diag(H)", diagonal, values)

    def _diagonal_of(self, problem: Problem, batch: Batch, values: Tensors, place: int) -> tf.Tensor:
        """The diagonal's part that belongs to the weight array at `place`: entry i is (H e_i)_i."""
        shape = values[place].shape
        size = shape.num_elements()

        def entry(i: tf.Tensor) -> tf.Tensor:
            direction = [tf.zeros_like(value) for value in values]
            direction[place] = tf.reshape(tf.one_hot(i, size), shape)
            return tf.reshape(problem.hessian_product(batch, values, direction, self.training)[place], [-1])[i]

        entries = tf.map_fn(entry, tf.range(size), fn_output_signature="float32", parallel_iterations=1)
        return tf.reshape(entries, shape)

    def __repr__(self) -> str:
        return "OBD(exact Hessian)" if self.hessian == "exact" else f"OBD(Hutchinson, {self.probes} probes)"
