"""Taylor-FO as a method.

what: single weights; how many: global; which: `TaylorFO`; how: one shot; weights: the initial ones.
"""

from tf_pai.criteria import TaylorFO
from tf_pai.registry import register_method
from tf_pai.static.method import StaticMethod


@register_method(
    "taylor_fo",
    survey_name="Taylor-FO",
    year=2019,
    reference="Molchanov et al., CVPR 2019",
    track="static",
    table_row="Table 2, row 3",
    needs_data=True,
)
def taylor_fo() -> StaticMethod:
    """Returns Taylor-FO's choice in each topic."""
    return StaticMethod(TaylorFO())
