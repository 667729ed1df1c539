"""Verdicts, and the controls behind them."""

import numpy as np
import pytest
import tensorflow as tf

import tf_pai
from tests.tickets.test_find import Refuse, find, plain_model
from tests.training.models import small_data
from tf_pai.layers import weights_of
from tf_pai.sanity.budget import narrowed
from tf_pai.sanity.corrupted import corrupted
from tf_pai.sanity.rates import overlap
from tf_pai.sanity.verdict import compared
from tf_pai.tickets import reinitialized, shuffled, ticket_of

OPTIONS = {"epochs": 2, "batch_size": 10, "seed": 3, "seeds": 2}


def check(ticket, checks=("reinit", "shuffle"), **options):
    data = small_data()
    return tf_pai.check_ticket(ticket, checks, **{"data": data, "validation_data": data, **OPTIONS, **options})


def test_a_verdict_is_a_sentence_with_its_statistics():
    finding = compared("reinit", "re-initialized", [0.98, 0.982, 0.981], [0.95, 0.953, 0.951], 0.003)
    assert finding.passed
    assert finding.verdict.startswith(
        "as a winning ticket should be: re-initialized 95.13 ± 0.15 vs 98.10 ± 0.10 as found (p = "
    )
    assert finding.figures["seeds"] == 3 and finding.figures["loss"] == pytest.approx(0.02967, abs=1e-5)
    assert finding.figures["test"] == "Welch's t, one-sided"


def test_no_difference_is_no_winning_ticket_and_a_small_bound_is_said():
    found, controls = [0.9700, 0.9701, 0.9699], [0.9702, 0.9700, 0.9701]
    finding = compared("shuffle", "shuffled masks", found, controls, 0.003)
    assert finding.passed is False and finding.verdict.startswith("not a winning ticket: shuffled masks 97.01 ± 0.01")
    assert finding.verdict.endswith("not worse by more than 0.3 points (one-sided 95 %)")
    wide = compared("shuffle", "shuffled masks", [0.90, 0.99], [0.99, 0.90], 0.003)
    assert "not worse by more" not in wide.verdict


def test_every_control_keeps_the_layers_ratios(tmp_path):
    ticket = find(0.6, run_dir=tmp_path)
    verdict = check(ticket, ("reinit", "shuffle", "random_ticket", "invert"), run_dir=tmp_path)
    assert list(verdict.findings) == ["reinit", "shuffle", "random_ticket", "invert"]
    found = [finding.figures["found"] for finding in verdict.findings.values()]
    assert all(accuracies == found[0] for accuracies in found) and len(found[0]) == 2
    assert str(verdict).splitlines()[0].startswith("reinit: ")
    assert verdict.to_dict()["invert"]["figures"]["seeds"] == 2
    again = check(ticket, ("reinit", "invert"), run_dir=tmp_path, callbacks=lambda name: [Refuse()])
    assert again.findings["invert"].figures == verdict.findings["invert"].figures  # read, not trained


def test_what_reinitializing_and_shuffling_change():
    ticket = find(0.6)
    values = reinitialized(ticket.model, ticket.initial_weights, ticket.masks, seed=1)
    changed = {path for path in values if not np.array_equal(values[path], ticket.initial_weights[path])}
    assert changed == {"one/kernel", "two/kernel"}
    masks = shuffled(ticket.masks, seed=1)
    for path, mask in masks.items():
        assert mask.sum() == ticket.masks[path].sum() and not np.array_equal(mask, ticket.masks[path])
    with pytest.raises(ValueError, match="Masks of single weights are shuffled"):
        shuffled({"one/bias": np.ones(3, bool)}, seed=0)


def test_a_model_that_was_pruned_otherwise():
    dense = plain_model()
    pruned = tf_pai.prune_at_init(dense, "synflow", 0.6, verbose=0)
    ticket = ticket_of(pruned, dense)
    for path, variable in weights_of(dense).items():
        assert np.array_equal(ticket.initial_weights[path], variable.numpy())
    drawn = ticket_of(pruned).initial_weights["one/kernel"]
    mask = ticket.masks["one/kernel"]
    assert np.array_equal(drawn[mask], dense.get_layer("one").kernel.numpy()[mask]) and (drawn[~mask] != 0).all()
    assert "shuffle" in check(pruned, ("shuffle",)).findings
    with pytest.raises(ValueError, match="a model without masks"):
        ticket_of(dense)
    with pytest.raises(ValueError, match="needs the scores that chose the masks"):
        check(ticket, ("invert",))


@pytest.mark.parametrize(
    ("text", "options"),
    [
        (r"Unknown check. Received: 'reinint'. Did you mean 'reinit'\?", {"checks": ("reinint",)}),
        (r"rests on two seeds or more. Received: seeds=1", {"seeds": 1}),
        (r"Received: metric='auc'. The model has: accuracy.", {"metric": "auc"}),
    ],
)
def test_wrong_arguments(text, options):
    pruned = tf_pai.prune_at_init(plain_model(), "random", 0.5, seed=0)
    with pytest.raises(ValueError, match=text):
        check(pruned, **options)


REST = ("corrupted_data", "small_dense", "trained_longer", "correlation", "winning", "instability")


def test_the_other_checks(tmp_path):
    ticket = find(0.6, run_dir=tmp_path, rounds=1)
    verdict = check(ticket, REST, run_dir=tmp_path, options={"learning_rates": (0.1, 0.01), "points": 3})
    assert list(verdict.findings) == list(REST)
    text = str(verdict)
    assert "tickets of shuffled labels" in text and "trained 2 times as long" in text
    assert "dense networks of 27 weights (ticket 29)" in text
    assert verdict.findings["correlation"].passed is None and "40.28 % by chance" in text
    assert set(verdict.findings["winning"].figures) == {"seeds", "test", "0.1", "0.01"}
    assert len(verdict.findings["instability"].figures["errors"]) == 3
    with pytest.raises(ValueError, match=r"Unknown option of a check. Received: point=3. Did you mean 'points'\?"):
        check(ticket, ("instability",), options={"point": 3})


def test_a_narrowed_network_has_no_more_weights_than_asked():
    """Dense 6 -> n -> 3: 9 n weights; 29 allow n = 3."""
    small, size = narrowed(plain_model(), 29)
    assert size == 27 and small.get_layer("one").units == 3 and small.get_layer("two").units == 3


def test_labels_are_shuffled_and_inputs_are_not():
    x, y = small_data()
    same_x, other_y = corrupted((x, y), seed=1)
    assert same_x is x and sorted(other_y) == sorted(y) and not np.array_equal(other_y, y)
    batches = corrupted(lambda epoch: tf.data.Dataset.from_tensor_slices((x, y)).batch(10), seed=1)
    once, again, later = ([b[1].numpy().tolist() for b in batches(epoch)] for epoch in (0, 0, 1))
    assert once == again != later and sorted(label for labels in once for label in labels) == sorted(y.tolist())


def test_overlap_by_hand():
    """|w0| = 4 3 2 1, |wK| = 4 1 3 2; two are kept: {0, 1} and {0, 2} share one of two."""
    initial, trained = {"w": np.array([[4.0, -3, 2, 1]])}, {"w": np.array([[-4.0, 1, 3, 2]])}
    assert overlap(initial, trained, {"w": np.array([[True, True, False, False]])}) == 0.5


def test_tickets_of_other_origin_are_not_found_again():
    pruned = tf_pai.prune_at_init(plain_model(), "random", 0.5, seed=0)
    with pytest.raises(ValueError, match="found again on corrupted data. Received: one that find_ticket did not"):
        check(pruned, ("corrupted_data",))
