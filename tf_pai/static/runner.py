"""How `tf_pai.run` runs a pre-selected-mask method: w* = f3(f1(w0; D) * f2(w0; D); D)."""

import keras

from tf_pai.static.prune import prune_at_init
from tf_pai.training import RUNNERS, Job


@RUNNERS.register("static")
def prune_and_train(job: Job) -> keras.Model:
    """Prunes a new model at initialization and trains it; `job.options` are arguments of `prune_at_init`.

    A run that goes on after a kill scores again, for its report; the masks it goes on with are those on disk.
    """
    options = {"data": job.scoring_data(), "seed": job.seed, "verbose": job.verbose and "auto", **job.options}
    model = prune_at_init(job.model(), job.method, job.sparsity, **options)
    job.fit(model)
    return model
