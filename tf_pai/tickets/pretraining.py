"""Pretraining: tickets of a pre-trained network, moved to other tasks."""

from __future__ import annotations

from typing import Any

import numpy as np

from tf_pai.registry import nearest, register_method
from tf_pai.tickets.moving import moved, source_search
from tf_pai.tickets.one_ticket import required
from tf_pai.tickets.search import Search
from tf_pai.tickets.ticket import Ticket

TASKS = ("supervised", "rotation")


@register_method(
    "pretraining",
    survey_name="Pretraining",
    year=2021,
    reference="Chen et al., CVPR 2021",
    track="tickets",
    k1="K",
)
class Pretraining:
    """w' = (|w_K| is large) * w_p: the pre-trained weights w_p are what the weights are reset to.

    The network is trained on the pre-training task, which gives w_p; iterative magnitude pruning on that task, reset to
    w_p in each round, gives the masks; both move to `data`, with a new, dense head. Options:
    - `source`: data of the pre-training task, of "rotation" arrays (images, anything) (needed);
    - `task`: "supervised" (the default), or "rotation": which of four quarter turns an image was given;
    - `source_classes`, `source_model`: as of OneTicket, for "supervised".

    Reference: Chen et al. 2021, "The lottery tickets hypothesis for supervised and self-supervised pre-training",
    section 3.
    Differs from the paper in: rotation (Gidaris et al. 2018) stands for simCLR and MoCo; small networks are
    pre-trained here, where the paper takes published ones.
    """

    options = {"source": None, "task": "supervised", "source_classes": None, "source_model": None}
    structure = "unstructured"
    dense_head = True

    def distribution(self, rate: float) -> str:
        """Returns one threshold for all layers."""
        return "global"

    def find(self, search: Search) -> Ticket:
        """Returns the ticket on the downstream task.

        Raises:
            ValueError: no source, another task.
        """
        task, source = search.options["task"], required(search, "source", "the data of the pre-training task")
        if task not in TASKS:
            raise ValueError(
                f"A pre-training task is one of {', '.join(TASKS)}. Received: task={task!r}."
                f"{nearest(task, list(TASKS))}"
            )
        classes = search.options["source_classes"]
        if task == "rotation":
            images = source[0] if isinstance(source, (tuple, list)) else source
            source, classes = rotated(images, search.seed), 4
        on_source = source_search(search, search.options["source_model"], source, None, classes)
        bench = on_source.bench
        pretrained = bench.train(bench.values(), bench.dense(), "pre-training").values
        return moved(on_source.iterate(pretrained), search)


def rotated(images: Any, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns images (n, height, width, channels), each turned by 0 to 3 quarters of a turn, and the numbers of those.

    Raises:
        ValueError: no square images.

    Example:
        >>> x, turns = rotated(np.arange(4.0).reshape(1, 2, 2, 1), seed=0)
        >>> x[0, :, :, 0].tolist(), turns.tolist()
        ([[2.0, 0.0], [3.0, 1.0]], [3])
    """
    images = np.asarray(images) if hasattr(images, "shape") else np.zeros(0)
    if images.ndim != 4 or images.shape[1] != images.shape[2]:
        raise ValueError(
            f"Square images (n, side, side, channels) are rotated. Received: an array of shape {images.shape}."
        )
    turns = np.random.default_rng(seed).integers(0, 4, len(images)).astype("int32")
    turned = images.copy()
    for quarter in (1, 2, 3):
        turned[turns == quarter] = np.rot90(images[turns == quarter], quarter, axes=(1, 2))
    return turned, turns
