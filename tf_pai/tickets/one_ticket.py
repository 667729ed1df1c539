"""OneTicket: a ticket found on one task, trained on another."""

from __future__ import annotations

from typing import Any

from tf_pai.registry import register_method
from tf_pai.tickets.moving import moved, source_search
from tf_pai.tickets.search import Search
from tf_pai.tickets.ticket import Ticket


def required(search: Search, option: str, what: str) -> Any:
    """Returns an option that the method cannot do without.

    Raises:
        ValueError: it is missing.
    """
    if search.options[option] is None:
        raise ValueError(
            f"The method {search.method!r} needs {what}. Received: none. Pass options={{{option!r}: ...}}."
        )
    return search.options[option]


@register_method(
    "one_ticket",
    survey_name="OneTicket",
    year=2019,
    reference="Morcos et al., NeurIPS 2019",
    track="tickets",
    k1="K",
)
class OneTicket:
    """Iterative magnitude pruning on the source task; masks and initial weights of the body move to `data`.

    `model` and `data` are those of the target task, with an optimizer of their own. Options:
    - `source`: training data of the source task (needed); `source_validation`: what its levels are evaluated on;
    - `source_classes`: its number of classes, if it has another one than the model; the head is then another;
    - `source_model`: or a network of its own, compiled with another optimizer, whose body has the same names.

    The head stays dense and is not among the weights that take part.

    Reference: Morcos et al. 2019, "One ticket to win them all", section 3: global, 20 %, late resetting (`rewind_to`).
    Differs from the paper in: `rewind_to` is "0it" where nothing else is asked.
    """

    options = {"source": None, "source_validation": None, "source_classes": None, "source_model": None}
    structure = "unstructured"
    rewinds = True
    dense_head = True

    def distribution(self, rate: float) -> str:
        """Returns one threshold for all layers."""
        return "global"

    def find(self, search: Search) -> Ticket:
        """Returns the ticket on the target task."""
        source = required(search, "source", "the data of the task on which the ticket is found")
        on_source = source_search(
            search,
            search.options["source_model"],
            source,
            search.options["source_validation"],
            search.options["source_classes"],
        )
        step = on_source.rewind_step()
        return moved(on_source.iterate(on_source.rewound(step), step=step), search)
