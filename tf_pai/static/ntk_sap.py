"""NTK-SAP as a method.

what: single weights; how many: global; which: `NTKSAP`; how: 20 exponential rounds; weights: the initial ones.
"""

from tf_pai.criteria import NTKSAP
from tf_pai.registry import register_method
from tf_pai.static.method import StaticMethod


@register_method(
    "ntk_sap",
    survey_name="NTK-SAP",
    year=2023,
    reference="Wang et al., ICLR 2023",
    track="static",
    table_row="",
    needs_data=False,
)
def ntk_sap() -> StaticMethod:
    """Returns NTK-SAP's choice in each topic."""
    return StaticMethod(NTKSAP(), schedule="iterative:20")
