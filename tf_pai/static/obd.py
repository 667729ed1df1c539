"""OBD as a method.

what: single weights; how many: global; which: `OBD`; how: one shot; weights: the initial ones.
"""

from tf_pai.criteria import OBD
from tf_pai.registry import register_method
from tf_pai.static.method import StaticMethod


@register_method(
    "obd",
    survey_name="OBD",
    year=1990,
    reference="LeCun et al., NeurIPS 1990",
    track="static",
    table_row="Table 2, row 2",
    needs_data=True,
)
def obd() -> StaticMethod:
    """Returns OBD's choice in each topic."""
    return StaticMethod(OBD())
