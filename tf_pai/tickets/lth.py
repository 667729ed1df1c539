"""LTH: the lottery ticket hypothesis, iterative magnitude pruning with reset to the initial weights."""

from __future__ import annotations

from tf_pai.distributions import LayerRates
from tf_pai.registry import register_method
from tf_pai.tickets.search import Search
from tf_pai.tickets.ticket import Ticket


@register_method(
    "lth",
    survey_name="LTH",
    year=2019,
    reference="Frankle & Carbin, ICLR 2019",
    track="tickets",
    table_row="Table 1, row 2",
    k1="K",
)
class LTH:
    """w' = (|w_K| is large) * w_0: in each round, `rate` of each layer's weights go, half of that in the last layer.

    `rounds=1` is one-shot pruning; `distribution="global"` one threshold for all layers, as the paper has it for
    ResNet-18 and VGG-19.

    Example:
        >>> import keras, numpy as np, tf_pai
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8), keras.layers.Dense(1)])
        >>> model.compile("sgd", "mse")
        >>> ticket = tf_pai.find_ticket(model, "lth", 0.5, data=(np.ones((8, 4)), np.ones((8, 1))), epochs=1, seed=0)
        >>> ticket.density, [round(level["density"], 2) for level in ticket.history]
        (0.5, [1.0, 0.82, 0.68, 0.55])

    Reference: Frankle & Carbin 2019, "The lottery ticket hypothesis", section 1 and figure 2.
    Differs from the paper in: the last round goes to the asked sparsity exactly.
    """

    options: dict = {}
    structure = "unstructured"
    rewinds = True

    def distribution(self, rate: float) -> LayerRates:
        """Returns the rates of the layers."""
        return LayerRates(rate)

    def find(self, search: Search) -> Ticket:
        """Returns the ticket."""
        step = search.rewind_step()
        return search.iterate(search.rewound(step), step=step)
