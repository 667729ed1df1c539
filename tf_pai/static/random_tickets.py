"""Random tickets as a method.

what: single weights; how many: smart ratio; which: `Random`; how: one shot; weights: the initial ones.
"""

from tf_pai.criteria import Random
from tf_pai.registry import register_method
from tf_pai.static.method import StaticMethod


@register_method(
    "random_tickets",
    survey_name="RandomTickets",
    year=2020,
    reference="Su et al., NeurIPS 2020",
    track="static",
    table_row="",
    needs_data=False,
)
def random_tickets() -> StaticMethod:
    """Returns random tickets' choice in each topic."""
    return StaticMethod(Random(), distribution="smart_ratio")
