"""PrAC: tickets found on the part of the data that pruning is sensitive to."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from tf_pai.masks import Masks
from tf_pai.registry import register_method
from tf_pai.tickets.bench import Bench, Values
from tf_pai.tickets.search import Search, entry
from tf_pai.tickets.stretching import stretched_bench
from tf_pai.tickets.ticket import Ticket


@register_method(
    "prac",
    survey_name="PrAC",
    year=2021,
    reference="Zhang et al., ICML 2021",
    track="tickets",
    k1="K",
)
class PrAC:
    """Iterative magnitude pruning whose levels see only the pruning-aware critical set of the training data.

    The set: examples that the dense network forgets at least once (right after one epoch, wrong after a later one) or
    never learns, and those on which the trained network answers otherwise when it is pruned (pruning-identified
    exemplars), added at each level. The learning rate's steps are scaled to the smaller set. `history` says in
    "examples" how many there were. Where none is critical, all examples are used.

    Reference: Zhang et al. 2021, "Efficient lottery ticket finding: less data is more", sections 3.1 and 3.2.
    Differs from the paper in: forgetting is looked for after each epoch, over all examples, and not batch by batch; a
    level is trained for all its epochs, where the paper also stops early by the distance of the masks.
    """

    options: dict = {}
    structure = "unstructured"

    def distribution(self, rate: float) -> str:
        """Returns one threshold for all layers."""
        return "global"

    def find(self, search: Search) -> Ticket:
        """Returns the ticket.

        Raises:
            ValueError: data that are no arrays.
        """
        bench, data = search.bench, search.bench.routine.data
        if not isinstance(data, (tuple, list)) or len(data) != 2 or len(keras.tree.flatten(data)) != 2:
            raise ValueError(
                "A critical set is chosen from arrays (x, y). Received: data of another kind. Pass arrays, as "
                'dataset.arrays("train") gives them.'
            )
        x, y = (np.asarray(array) for array in data)
        start, masks, scores = bench.values(), bench.dense(), search.no_scores()
        _answers(bench.model, x[:2], 2)  # raises before anything is trained
        watch = Forgetting(x, classes_of(y), bench.routine.batch_size)
        trained = bench.train(start, masks, "level 0", callbacks=[watch], tag="forgetting")
        critical = watch.critical()
        history = [{**entry(0, masks, trained), "examples": len(y)}]
        search.note(scores, masks, trained, 0)
        densities = search.densities()
        for level, density in enumerate(densities, start=1):
            before = masks
            masks = search.next_masks(masks, trained.values, density)
            critical = critical | exemplars(bench, trained.values, before, masks, x)
            if level == len(densities):
                break
            chosen = critical if critical.any() else ~critical
            own = stretched_bench(bench, float(chosen.mean()))
            part = x[chosen], y[chosen]
            trained = own.train(start, masks, f"level {level}/{len(densities)}", data=part)
            history.append({**entry(level, masks, trained), "examples": int(chosen.sum())})
            search.note(scores, masks, trained, level)
        return search.ticket(start, masks, 0, history, scores)


def exemplars(bench: Bench, values: Values, before: Masks, after: Masks, x: np.ndarray) -> np.ndarray:
    """Returns which examples a trained network answers otherwise under new masks, as booleans."""
    answers = []
    for masks in (before, after):
        bench.reset(values, masks)
        answers.append(_answers(bench.model, x, bench.routine.batch_size))
    return answers[0] != answers[1]


def _answers(model: keras.Model, x: np.ndarray, batch_size: int) -> np.ndarray:
    outputs = model.predict(x, batch_size=max(batch_size, 256), verbose=0)
    if not isinstance(outputs, np.ndarray) or outputs.ndim != 2 or outputs.shape[1] < 2:
        raise ValueError(
            "An answer is the largest of several outputs. Received: "
            f"{model.name!r} with outputs of shape {keras.tree.map_structure(np.shape, outputs)}. Use the method 'lth'."
        )
    return outputs.argmax(-1)


def classes_of(labels: np.ndarray) -> np.ndarray:
    """Returns labels as numbers of classes: of columns (n, 1), or of one-hot rows.

    >>> classes_of(np.array([[2], [0]])).tolist(), classes_of(np.eye(3)).tolist()
    ([2, 0], [0, 1, 2])
    """
    if labels.ndim < 2:
        return labels
    return labels[:, 0] if labels.shape[1] == 1 else labels.argmax(1)


class Forgetting(keras.callbacks.Callback):
    """Counts, after each epoch, which examples are forgotten.

    Args:
        x: all examples.
        y: their classes, as numbers.
        batch_size: of the predictions.
    """

    def __init__(self, x: np.ndarray, y: np.ndarray, batch_size: int):
        super().__init__()
        self.x, self.y, self.batch_size = x, y, batch_size
        self.right, self.learned = np.zeros(len(y), bool), np.zeros(len(y), bool)
        self.events = np.zeros(len(y), int)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Looks at all examples."""
        self.note(_answers(self.model, self.x, self.batch_size) == self.y)

    def note(self, right: np.ndarray) -> None:
        """Takes in which examples are answered rightly.

        >>> watch = Forgetting(np.zeros(3), np.zeros(3), 1)
        >>> for right in ([1, 1, 0], [0, 1, 0], [1, 1, 0]):
        ...     watch.note(np.array(right, bool))
        >>> watch.events.tolist(), watch.critical().tolist()  # forgotten once, never, never learned
        ([1, 0, 0], [True, False, True])
        """
        self.events += self.right & ~right
        self.right, self.learned = right, self.learned | right

    def critical(self) -> np.ndarray:
        """Returns which examples were forgotten, or never learned."""
        return (self.events > 0) | ~self.learned

    def get_state(self) -> dict[str, Any]:
        """Returns the counts, for a checkpoint."""
        return {"right": self.right, "learned": self.learned, "events": self.events}

    def set_state(self, state: dict[str, Any]) -> None:
        """Goes on from what `get_state` gave."""
        self.right, self.learned, self.events = state["right"], state["learned"], state["events"]
