"""SynFlow as a method.

what: single weights; how many: global; which: `SynFlow`; how: 100 exponential rounds; weights: the initial ones.
"""

from tf_pai.criteria import SynFlow
from tf_pai.registry import register_method
from tf_pai.static.method import StaticMethod


@register_method(
    "synflow",
    survey_name="SynFlow",
    year=2020,
    reference="Tanaka et al., NeurIPS 2020",
    track="static",
    table_row="Table 2, row 6",
    needs_data=False,
)
def synflow() -> StaticMethod:
    """Returns SynFlow's choice in each topic."""
    return StaticMethod(SynFlow(), schedule="iterative:100")
