"""AC/DC: dense and compressed phases in turn."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import keras
import tensorflow as tf

from tf_pai.callbacks import checks
from tf_pai.callbacks.dense_start import DenseStart
from tf_pai.callbacks.largest import largest
from tf_pai.callbacks.schedule import Periodic
from tf_pai.callbacks.weights import WeightState
from tf_pai.masks import set_masks
from tf_pai.masks import sparsity as sparsity_of
from tf_pai.registry import register_method
from tf_pai.steps import to_steps

WARM_UP, PHASE, LAST = 0.1, 0.05, 0.75  # of the training, as in the paper's 100 epochs


@register_method(
    "acdc",
    survey_name="AC/DC",
    year=2021,
    reference="Peste et al., NeurIPS 2021",
    track="dynamic",
    k1="K",
)
class ACDC(DenseStart):
    """Trains dense; prunes to the largest |w| of all layers and trains sparse; frees all weights again; and so on.

    Compressed and dense phases alternate from `begin_step` on, each of `update_every` steps; from `end_step` on the
    network stays compressed. Weights that are freed start at zero, with new optimizer slots.

    Args:
        sparsity: of the compressed phases.
        update_every: length of a phase; default: 5 % of the training in `fit`.
        begin_step: where the dense warm-up ends; default: 10 % of the training. 0: an unpruned model is compressed at
            once.
        end_step: where the last compressed phase begins; default: 75 % of the training.
        **kwargs: see `DenseStart`; the drop fraction, its decay and rounding play no part.

    Example:
        >>> import tf_pai
        >>> tf_pai.callbacks.ACDC(sparsity=0.9, update_every="5ep", begin_step="10ep", end_step="85ep").starts_dense
        True

    Reference: Peste et al. 2021, "AC/DC: alternating compressed/decompressed training of deep neural networks",
    algorithm 1.
    """

    def __init__(
        self,
        sparsity: float | None = None,
        update_every: int | str | None = None,
        begin_step: int | str | None = None,
        end_step: int | str | None = None,
        **kwargs: Any,
    ):
        super().__init__(sparsity, update_every=update_every, begin_step=begin_step, end_step=end_step, **kwargs)

    def make_schedule(self, steps_per_epoch: Fraction | None, total: Fraction | None) -> Periodic:
        """Returns the schedule in steps."""

        def steps(name: str, share: float) -> int:
            value = getattr(self, name)
            if value is not None:
                return to_steps(value, steps_per_epoch, name)
            return max(int(share * checks.known_length(self, total)), 1)

        return Periodic(steps("update_every", PHASE), steps("begin_step", WARM_UP), steps("end_step", LAST))

    def needs_sparsity(self) -> bool:
        """Tells whether a sparsity has to be given: always."""
        return True

    def prepare(self, model: keras.Model) -> None:
        """Compresses an unpruned model where there is no dense warm-up."""
        super().prepare(model)
        if self.schedule.begin == 0 and self.steps_taken() == 0 and sparsity_of(model) == 0:
            set_masks(model, self.largest_masks(model))

    def is_compressed(self, step: int) -> bool:
        """Tells whether a phase that begins after `step` is a compressed one."""
        return step >= self.schedule.end or (step - self.schedule.begin) // self.schedule.every % 2 == 0

    def is_due(self, step: int) -> bool:
        """Tells whether a phase begins after `step`."""
        return step == self.schedule.end or super().is_due(step)

    def plan(self, step: int) -> tuple[list[int], list[int]]:
        """Returns the counts of the phase that begins."""
        sizes = [weight.size for weight in self.weights]
        counts = self.target(self.sparsity) if self.is_compressed(step) else sizes
        return counts, counts

    def kept(self, step: int) -> int:
        """Returns how many weights the phase that begins after `step` has."""
        return sum(self.plan(step)[1])

    def select(self, state: WeightState) -> tf.Tensor:
        """Returns the largest |w|, all of them for a dense phase."""
        return largest(state.magnitude(), state.total)
