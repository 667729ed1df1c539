"""PHEW as a method.

what: single weights; how many: the walks say; which: `PHEW`; how: one shot; weights: the initial ones.
"""

from tf_pai.criteria import PHEW
from tf_pai.registry import register_method
from tf_pai.static.method import StaticMethod


@register_method(
    "phew",
    survey_name="PHEW",
    year=2021,
    reference="Patil and Dovrolis, ICML 2021",
    track="static",
    table_row="",
    needs_data=False,
)
def phew() -> StaticMethod:
    """Returns PHEW's choice in each topic."""
    return StaticMethod(PHEW())
