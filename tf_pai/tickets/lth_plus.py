"""LTH+: tickets of larger networks, rewound to an early step and not to the initialization."""

from __future__ import annotations

from tf_pai.registry import nearest, register_method
from tf_pai.tickets.search import Search
from tf_pai.tickets.ticket import Ticket

REWINDS = ("weights", "learning_rate")


@register_method(
    "lth_plus",
    survey_name="LTH+",
    year=2020,
    reference="Frankle et al., ICML 2020",
    track="tickets",
    k1="K",
)
class LTHPlus:
    """w' = (|w_K| is large) * w_k: iterative magnitude pruning, global, rewound to step k (default: "1ep").

    Its options: `rewind="weights"` (the default) or "learning_rate", which keeps the trained weights and takes only the
    learning rate back to step k (Renda et al. 2020). Its instability analysis is the check "instability".

    Example:
        >>> import keras, numpy as np, tf_pai
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8), keras.layers.Dense(1)])
        >>> model.compile("sgd", "mse")
        >>> data = np.ones((8, 4)), np.ones((8, 1))
        >>> ticket = tf_pai.find_ticket(model, "lth_plus", 0.5, data=data, epochs=2, rounds=1, batch_size=4, seed=0)
        >>> ticket.step, ticket.density
        (2, 0.5)

    Reference: Frankle et al. 2020, "Linear mode connectivity and the lottery ticket hypothesis", algorithms 1 and 2;
    Renda et al. 2020, "Comparing rewinding and fine-tuning in neural network pruning", section 2.
    """

    options = {"rewind": "weights"}
    structure = "unstructured"
    rewinds = True

    def distribution(self, rate: float) -> str:
        """Returns one threshold for all layers."""
        return "global"

    def find(self, search: Search) -> Ticket:
        """Returns the ticket.

        Raises:
            ValueError: another `rewind`.
        """
        rewind = search.options["rewind"]
        if rewind not in REWINDS:
            raise ValueError(
                f"rewind is one of {', '.join(REWINDS)}. Received: rewind={rewind!r}.{nearest(rewind, list(REWINDS))}"
            )
        step = search.rewind_step("1ep")
        return search.iterate(search.rewound(step), step=step, keep_training=rewind == "learning_rate")
