"""How `tf_pai.run` runs a selection method: the weights stay those of step 0, only the mask is learned."""

import keras

from tf_pai.selection.select import select_subnet
from tf_pai.training import RUNNERS, Job


@RUNNERS.register("selection")
def select_and_train(job: Job) -> keras.Model:
    """Makes a new model select its subnet; `job.options` are arguments of `select_subnet`."""
    sparsity = 0.5 if job.sparsity is None else job.sparsity
    model = select_subnet(job.model(), job.method, sparsity, **{"seed": job.seed, **job.options})
    job.fit(model)
    return model
