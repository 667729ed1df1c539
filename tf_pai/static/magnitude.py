"""Magnitude as a method.

what: single weights; how many: global; which: `Magnitude`; how: one shot; weights: the initial ones.
"""

from tf_pai.criteria import Magnitude
from tf_pai.registry import register_method
from tf_pai.static.method import StaticMethod


@register_method(
    "magnitude",
    survey_name="Magnitude",
    year=2015,
    reference="Han et al., NeurIPS 2015",
    track="static",
    table_row="",
    needs_data=False,
)
def magnitude() -> StaticMethod:
    """Returns Magnitude's choice in each topic."""
    return StaticMethod(Magnitude())
