"""GraSP as a method.

what: single weights; how many: global; which: `GraSP`; how: one shot; weights: the initial ones.
"""

from tf_pai.criteria import GraSP
from tf_pai.registry import register_method
from tf_pai.static.method import StaticMethod


@register_method(
    "grasp",
    survey_name="GraSP",
    year=2020,
    reference="Wang et al., ICLR 2020",
    track="static",
    table_row="Table 2, row 5",
    needs_data=True,
)
def grasp() -> StaticMethod:
    """Returns GraSP's choice in each topic."""
    return StaticMethod(GraSP())
