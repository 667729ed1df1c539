"""AI, approximated isometry, as a method.

what: single weights; how many: global; which: `SNIP`; how: one shot; weights: the initial ones, moved towards isometry.
"""

import keras
import numpy as np

from tf_pai.criteria import SNIP
from tf_pai.registry import register_method
from tf_pai.static.isometry import approximate_isometry
from tf_pai.static.method import StaticMethod


@register_method(
    "ai",
    survey_name="AI",
    year=2020,
    reference="Lee et al., ICLR 2020",
    track="static",
    table_row="",
    needs_data=True,
)
def ai() -> StaticMethod:
    """Returns approximated isometry's choice in each topic, and f2.

    The paper starts from orthogonal weights: give the layers `kernel_initializer="orthogonal"` for that.
    """

    def transform(model: keras.Model, masks: dict[str, np.ndarray], seed: int) -> None:
        approximate_isometry(model)

    return StaticMethod(SNIP(), transform=transform)
