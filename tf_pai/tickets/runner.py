"""How `tf_pai.run` runs a ticket method: w* = f3(f1(w_K; D) * w_0; D)."""

from __future__ import annotations

import dataclasses

import keras

from tf_pai.tickets.find import find_ticket
from tf_pai.tickets.shifting import from_step, steps_of
from tf_pai.training import RUNNERS, Job, batches_of

OWN = ("rounds", "rate", "rewind_to", "distribution", "structure", "include", "exclude")


@RUNNERS.register("tickets")
def find_and_train(job: Job) -> keras.Model:
    """Finds a ticket and trains it.

    Args:
        job: its options are arguments of `find_ticket`, all others those of the method.
    """
    arguments = {name: value for name, value in job.options.items() if name in OWN}
    ticket = find_ticket(
        job.model(),
        job.method,
        job.sparsity,
        data=job.data,
        epochs=job.epochs,
        validation_data=job.validation_data,
        run_dir=job.stage_folder("ticket"),
        seed=job.seed,
        batch_size=job.batch_size,
        callbacks=job.callbacks,
        options={name: value for name, value in job.options.items() if name not in OWN},
        verbose=job.verbose,
        **arguments,
    )
    batches, epochs = batches_of(job.data, job.seed, job.batch_size), job.epochs
    if ticket.step:
        batches, epochs = from_step(batches, epochs, ticket.step, steps_of(batches(0)))
    dataclasses.replace(job, data=batches).fit(ticket.model, epochs=epochs)
    return ticket.model
