"""How `tf_pai.run` runs a selection method: the weights stay those of step 0, only the mask is found."""

from typing import Any

import keras

from tf_pai.registry import METHODS
from tf_pai.selection.construction import Construction
from tf_pai.selection.select import select_subnet, subnet_of
from tf_pai.selection.target import chain_of
from tf_pai.training import RUNNERS, Job


@RUNNERS.register("selection")
def select_and_train(job: Job) -> keras.Model:
    """Makes a new model select its subnet; `job.options` are arguments of `select_subnet`, or of a construction.

    A construction trains the model first, as its target.
    """
    make: Any = METHODS.find(job.method).make
    if isinstance(make, type) and issubclass(make, Construction):
        construction, target = make(**job.options), job.model()
        chain_of(target)
        job.fit(target, "target")
        return subnet_of(target, construction, job.sparsity, job.seed)
    model = select_subnet(job.model(), job.method, job.sparsity, **{"seed": job.seed, **job.options})
    job.fit(model)
    return model
