"""Skeletonization as a method.

what: single weights; how many: global; which: `Skeletonization`; how: one shot; weights: the initial ones.
"""

from tf_pai.criteria import Skeletonization
from tf_pai.registry import register_method
from tf_pai.static.method import StaticMethod


@register_method(
    "skeletonization",
    survey_name="Skeletonization",
    year=1989,
    reference="Mozer and Smolensky, NeurIPS 1989",
    track="static",
    table_row="Table 2, row 1",
    needs_data=True,
)
def skeletonization() -> StaticMethod:
    """Returns Skeletonization's choice in each topic."""
    return StaticMethod(Skeletonization())
