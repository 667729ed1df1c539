"""What a method of dynamic masks is: a schedule, and a drop and a grow rule, over one updater."""

from __future__ import annotations

from fractions import Fraction

import keras
import numpy as np
import tensorflow as tf

from tf_pai.callbacks import checks, rules
from tf_pai.callbacks.counting import count_true
from tf_pai.callbacks.fitting import InFit
from tf_pai.callbacks.looping import InLoop
from tf_pai.callbacks.schedule import Periodic, drop_fraction
from tf_pai.callbacks.weights import WeightState
from tf_pai.steps import to_steps


class DynamicMasks(InFit, InLoop):
    """Updates the masks of a model while it trains. Not used itself: its subclasses are the methods.

    A step is an update of the weights by the optimizer (with gradient accumulation, several batches), counted by
    `optimizer.iterations`; so a model that is loaded with its optimizer goes on where it was. All random numbers
    depend on nothing but the seed, the weight's place in the model and the step.

    In `fit`, list it before callbacks that restore weights at the start (`BackupAndRestore`), and after those of your
    own that restore weights at the end: some methods keep more in the model while they run. `EarlyStopping` may come
    anywhere; a method that prunes as it trains warns where the best weights are denser than asked.

    In a loop of your own, call `begin(model)` before it, `step(x, y)` after each update of the weights, and
    `on_train_end()` after it.

    Args:
        update_every: steps between two updates: an integer, or "500it", "2ep".
        drop_fraction: fraction of the weights alive that an update drops, in (0, 1), at the start of the schedule.
        begin_step: the schedule's start.
        end_step: the last step at which an update can fall; default: 75 % of the training, in `fit`.
        decay: of the drop fraction over the schedule: "cosine", "constant", "linear" or "cubic".
        decay_from_begin: whether the decay starts at `begin_step`; RigL's authors' code divides the bare step instead.
        final_fraction: what the drop fraction decays to.
        rounding: of the number dropped: "floor", "ceil" or "round".
        seed: of everything random; give one where a run may be resumed.
        tile_size: how many weights of a sparse Dense or EinsumDense layer may exist densely at once in an update, with
            their scores and masks, in about four times their memory; larger layers are updated tile of rows by tile
            of rows, and draw other random numbers than masked ones.
        log_dir: folder for TensorBoard: density of each weight, exploration and churn at each update; of methods that
            update at every step, at every 100th and at the end of each epoch.

    Attributes:
        starts_dense: whether it accepts an unpruned model.
        moves_sparse: whether it moves the kept weights of layers that hold no others, too.
        keeps_dense_weights: whether pruned weights keep their values, and learn, in the background.
        layerwise: whether every weight keeps the number of places it had.
        reads_gradient: whether its rules read the dense gradient of the current batch.
        dense_gradients: whether the optimizer gets the gradients of pruned weights too, at every step.
        resets_slots: whether optimizer slots start anew where a weight comes to life.
        moves_every_step: whether an update belongs to every step.
        train_on_update: whether a step that updates masks also trains.
        share_of_training: where the schedule ends by default.
    """

    starts_dense = False
    moves_sparse = False
    keeps_dense_weights = False
    layerwise = True
    reads_gradient = False
    dense_gradients = False
    resets_slots = True
    moves_every_step = False
    train_on_update = True
    share_of_training = 0.75

    def __init__(
        self,
        update_every: int | str = 100,
        drop_fraction: float = 0.3,
        begin_step: int | str = 0,
        end_step: int | str | None = None,
        decay: str = "cosine",
        decay_from_begin: bool = True,
        final_fraction: float = 0.0,
        rounding: str = "floor",
        seed: int | None = None,
        log_dir: str | None = None,
        tile_size: int = 2**20,
    ):
        super().__init__()
        self.update_every, self.begin_step, self.end_step = update_every, begin_step, end_step
        self.drop_fraction, self.decay, self.final_fraction = drop_fraction, decay, final_fraction
        self.decay_from_begin, self.rounding, self.log_dir = decay_from_begin, rounding, log_dir
        self.tile_size = tile_size
        self.seed = int(np.random.randint(2**31)) if seed is None else seed

    def select(self, state: WeightState) -> tf.Tensor:
        """Returns the new mask of one weight, boolean: drops to `state.keep`, grows to `state.total`."""
        kept = self.drop(state)
        missing = state.total - count_true(kept)
        with tf.control_dependencies([missing]):  # the scores of what is dropped are gone when these come
            scores = self.grow_score(state)
        return rules.grow(scores, kept, missing)

    def drop(self, state: WeightState) -> tf.Tensor:
        """Returns the mask of what survives: the highest drop scores among the weights alive."""
        return rules.drop(self.drop_score(state), state.alive, state.keep)

    def drop_score(self, state: WeightState) -> tf.Tensor:
        """Returns scores of which the lowest are dropped: |w|."""
        return state.magnitude()

    def grow_score(self, state: WeightState) -> tf.Tensor:
        """Returns scores of which the highest come to life: random numbers."""
        return state.random()

    def revived(self, state: WeightState) -> tf.Tensor | None:
        """Returns the values that weights have when they come to life; None: zero."""
        return None

    def plan(self, step: int) -> tuple[list[int], list[int]]:
        """Returns how many of each weight's places survive the drop after `step`, and how many are alive then."""
        total = self.updater.counts()
        fraction = self.fraction(step)
        return [n - rules.drop_count(fraction, n, self.rounding) for n in total], total

    def fraction(self, step: int) -> float:
        """Returns the drop fraction after `step`."""
        return drop_fraction(self.drop_fraction, self.decay, self.schedule.progress(step), self.final_fraction)

    def is_due(self, step: int) -> bool:
        """Tells whether masks are updated after `step`."""
        return self.schedule.is_due(step)

    def kept(self, step: int) -> int | None:
        """Returns how many weights are alive in all after an update at `step`: as many as before."""
        return sum(self.counts_at_start)

    def check(self) -> None:
        """Raises a ValueError where an argument is wrong."""
        checks.check_schedule(self)
        checks.check_fraction(self)
        checks.check_seed(self)
        checks.check_tile_size(self)
        checks.check_boolean(self, "decay_from_begin", "train_on_update")

    def prepare(self, model: keras.Model) -> None:
        """Changes the model before training, where the method needs that."""

    def retire(self, model: keras.Model, is_over: bool) -> None:
        """Undoes that after training; `is_over` where the schedule has run to its end."""

    def make_schedule(self, steps_per_epoch: Fraction | None, total: Fraction | None) -> Periodic:
        """Returns the schedule in steps.

        Args:
            steps_per_epoch: None where it is not known; no whole number where accumulation goes on over its end.
            total: steps of the whole training; None where it is not known.
        """
        every = to_steps(self.update_every, steps_per_epoch, "update_every")
        begin = to_steps(self.begin_step, steps_per_epoch, "begin_step")
        if self.end_step is None:
            end = max(int(self.share_of_training * checks.known_length(self, total)), 1)
        else:
            end = to_steps(self.end_step, steps_per_epoch, "end_step")
        return Periodic(every, begin, end, self.decay_from_begin)
