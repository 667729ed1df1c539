"""E-LTH: the elastic lottery ticket hypothesis, a ticket stretched or squeezed to another depth of its family."""

from __future__ import annotations

import dataclasses
import re

import keras

from tf_pai.layers import participating, weights_of
from tf_pai.registry import register_method
from tf_pai.tickets.bench import Bench
from tf_pai.tickets.moving import check_source
from tf_pai.tickets.one_ticket import required
from tf_pai.tickets.search import Search
from tf_pai.tickets.start import remembered_start
from tf_pai.tickets.ticket import Ticket


@register_method(
    "e_lth",
    survey_name="E-LTH",
    year=2021,
    reference="Chen et al., NeurIPS 2021",
    track="tickets",
    k1="K",
)
class ELTH:
    """Iterative magnitude pruning of `source_model`; its blocks' masks and weights become those of `model`.

    Within each stage the first block, which changes the size, stays; deeper: the other blocks are repeated in order
    (stretch), shallower: the last ones are dropped (squeeze). All else (stem, head) is taken as it is. Options:
    `source_model`, a compiled network of the family with another depth (needed); `block`, the pattern of a block in a
    path: its groups are the stage and the number of the block, from 1 (default: r"(stage\\d+)_block(\\d+)").

    Reference: Chen et al. 2021, "The elastic lottery ticket hypothesis", sections 3.1 and 3.2.
    Differs from the paper in: `rewind_to` is "0it" where nothing else is asked. The ticket's density is that of the
    source's blocks in the new proportion, and need not be the asked one.
    """

    options = {"source_model": None, "block": r"(stage\d+)_block(\d+)"}
    structure = "unstructured"
    rewinds = True

    def distribution(self, rate: float) -> str:
        """Returns one threshold for all layers."""
        return "global"

    def find(self, search: Search) -> Ticket:
        """Returns the ticket of the new depth.

        Raises:
            ValueError: no source, or a weight whose block has no counterpart.
        """
        model = required(search, "source_model", "a network of the family with another depth")
        check_source(model)
        sources = sources_of(search.bench.model, model, search.options["block"])
        pruned = {sources[path] for path in search.plan.weights}
        weights = {path: weight for path, weight in participating(model).items() if path in pruned}
        masked = {sources[path] for path in search.bench.dense()}  # with vectors that follow a pruned filter
        bench = Bench(model, search.bench.routine, sorted(masked), search.bench.folder)
        remembered_start(bench, search.folder, "source.npz")
        plan = dataclasses.replace(search.plan, weights=weights)
        source = dataclasses.replace(search, bench=bench, plan=plan)
        step = source.rewind_step()
        found = source.iterate(source.rewound(step), step=step)
        masks = found.masks
        return search.ticket(
            {path: found.initial_weights[sources[path]] for path in weights_of(search.bench.model)},
            {path: masks[sources[path]] for path in search.bench.dense() if sources[path] in masks},
            step,
            found.history,
        )


def sources_of(target: keras.Model, source: keras.Model, block: str) -> dict[str, str]:
    """Returns {path of each weight of the target: path of the source's weight that it becomes a copy of}.

    Raises:
        ValueError: the source lacks one, or has it in another shape.
    """
    shapes = {path: tuple(variable.shape) for path, variable in weights_of(source).items()}
    depths: dict[str, int] = {}
    for path in shapes:
        if found := re.search(block, path):
            depths[found[1]] = max(depths.get(found[1], 0), int(found[2]))
    sources = {}
    for path, variable in weights_of(target).items():
        sources[path] = re.sub(block, lambda found: _counterpart(found, depths), path)
        if shapes.get(sources[path]) != tuple(variable.shape):
            raise ValueError(
                f"A ticket changes its depth within a family of networks. Received: {path!r} of shape "
                f"{tuple(variable.shape)}, and a source model with {shapes.get(sources[path])} for {sources[path]!r}. "
                "Give both networks the same blocks and widths, or another `block` pattern."
            )
    return sources


def _counterpart(found: re.Match[str], depths: dict[str, int]) -> str:
    """The name of the source's block: of a deeper target, those after the first in turn."""
    number, depth = int(found[2]), depths.get(found[1], 0)
    if number > depth >= 2:
        number = 2 + (number - 2) % (depth - 1)
    start, end = found.span(2)[0] - found.start(), found.span(2)[1] - found.start()
    return f"{found[0][:start]}{number}{found[0][end:]}"
