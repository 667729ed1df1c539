"""Dense: no pruning at all, what every accuracy is compared to."""

from __future__ import annotations

from typing import Any

import keras

from tf_pai.registry import register_method
from tf_pai.training import Job


@register_method(
    "dense",
    survey_name="Dense",
    year=1998,
    reference="LeCun et al., Proc. IEEE 1998",
    track="traditional",
    needs_data=False,
)
def dense(job: Job) -> keras.Model:
    """Trains the model as it is: w* = f3(w0; D), survey eq. 2 with f1 = 1 and f2 = I.

    Raises:
        ValueError: a sparsity other than 0, or options.
    """
    if job.sparsity not in (0, None):
        raise ValueError(f"The method 'dense' keeps every weight. Received: sparsity={job.sparsity!r}. Pass 0.")
    refuse_options(job, {})
    model = job.model()
    job.fit(model)
    return model


def refuse_options(job: Job, valid: dict[str, Any]) -> dict[str, Any]:
    """Returns `valid` with the job's options in place of its defaults.

    Raises:
        ValueError: an option that is not in `valid`.
    """
    for option, value in job.options.items():
        if option not in valid:
            raise ValueError(
                f"Unknown option of {job.method!r}. Received: {option}={value!r}. "
                f"Valid options: {', '.join(valid) or 'none'}."
            )
    return {**valid, **job.options}
