"""ScoredLayer: a PrunableLayer that learns scores, from which its masks follow; its weights are frozen."""

from __future__ import annotations

import dataclasses
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras.src.backend.common.variables import AutocastScope

from tf_pai.layers import PrunableLayer, prunable_layers, prunable_weights, weights_of
from tf_pai.layers.prunable import PACKAGE
from tf_pai.selection.averages import follow_averages
from tf_pai.selection.rule import Rule
from tf_pai.selection.signs import train_straight_through


@dataclasses.dataclass
class _Competition:
    """The (layer, path) that compete for one budget; Keras, when it saves, does not look for layers in here."""

    members: list[tuple[ScoredLayer, str]]


class _FollowScores(keras.constraints.Constraint):
    """Leaves the scores as they are, and sets the mask that they mean: it runs after each optimizer step.

    Keras runs it when all scores have been updated: of scores that compete, the last ones set the masks of all.
    """

    def __init__(self, layer: ScoredLayer, path: str):
        self.layer, self.path = layer, path

    def __call__(self, scores: Any) -> Any:
        """Returns the scores."""
        rivals = self.layer.rivals(self.path)
        if not rivals:
            self.layer.follow_scores(self.path, tf.convert_to_tensor(scores))
        elif (self.layer, self.path) == [rival for rival in rivals if rival[0].trainable][-1]:
            follow_together(rivals)
        return scores


def follow_together(rivals: list[tuple[ScoredLayer, str]]) -> None:
    """Sets the masks of weights whose layers compete for one budget to what their scores mean together."""
    weights = [layer.places[path][0] for layer, path in rivals]
    scores = [layer.scores[path].value for layer, path in rivals]
    keep = sum(layer.keep_of(path) for layer, path in rivals)
    seeds = [layer.seed_of(path) for layer, path in rivals]
    first = rivals[0][0]
    guess = next(layer.guesses[path] for layer, path in rivals)
    masks = first.rule.masks(weights, scores, keep, first.structure, seeds, guess)
    for (layer, path), mask in zip(rivals, masks, strict=True):
        layer.pairs[path][1].assign(mask)


@keras.saving.register_keras_serializable(PACKAGE)
class ScoredLayer(PrunableLayer):
    """Wraps a layer, freezes all its weights, and trains a score for each weight that can be pruned.

    It computes with `rule.effective(w, s, m)`, e.g. w * m, where the mask m is what `rule.mask` makes of the scores s
    after each optimizer step. The weights themselves, pruned or not, are never written.

    Args:
        layer: the layer to select from; built or not.
        pruned: see `PrunableLayer`; () freezes a layer that has nothing to select, such as a normalisation.
        rule: the paper's rule.
        keep: how many weights stay, for each of `pruned`.
        shared: for each of `pruned`, 0 where `keep` is the weight's own; where it is a part of what several weights
            of a model compete for, the number of all of these.
        structure: what is kept together, as `tf_pai.structures.get` spells it.
        origin: {"model": name, "weights": kind, "seed": seed} that `select_subnet` made the weights from.
        seed: of the initial scores, and of what is random in training.
        **kwargs: see `PrunableLayer`.
    """

    def __init__(
        self,
        layer: keras.Layer,
        pruned: tuple[int, ...] = (),
        rule: Rule | dict | None = None,
        keep: tuple[int, ...] = (),
        shared: tuple[int, ...] | None = None,
        structure: str = "unstructured",
        origin: dict[str, Any] | None = None,
        seed: int = 0,
        **kwargs: Any,
    ):
        rule = keras.saving.deserialize_keras_object(rule) if isinstance(rule, dict) else rule
        # Past __setattr__, which would track them; and before the constructor, in which `_attach` may run.
        shared = (0,) * len(keep) if shared is None else tuple(shared)
        self.__dict__.update(rule=rule, keep=tuple(keep), shared=shared, structure=structure, seed=seed)
        self.__dict__.update(origin=origin, scores={}, guesses={}, places={}, frozen=(), competition=_Competition([]))
        super().__init__(layer, pruned=pruned, **kwargs)

    def _attach(self) -> None:
        if self.attached:
            return
        known = list(weights_of(self.layer))
        chosen = prunable_weights(self.layer)
        super()._attach()
        train_straight_through(self.layer)
        self.supports_jit = False  # what finds the threshold has shapes that XLA does not know
        self.__dict__["draws"] = self._state("draws", (), "int32")
        self._track_trackable(self.draws, "draws")
        for i, keep in zip(self.pruned or (), self.keep, strict=True):
            path = known[i]
            self.places[path] = (chosen[path], keep)
            self.guesses[path] = self._state("guess", (2,), "float32")
            self._add_scores(path)
        self.draw_scores(self.seed)
        self.freeze()

    def _state(self, name: str, shape: tuple[int, ...], dtype: str) -> keras.Variable:
        options = {"trainable": False, "aggregation": "only_first_replica", "autocast": False}
        return self.add_weight(shape=shape, dtype=dtype, initializer="zeros", name=name, **options)

    def _add_scores(self, path: str) -> None:
        self.scores[path] = self.add_weight(
            shape=self.places[path][0].shape,
            dtype="float32",
            autocast=False,
            initializer="zeros",
            regularizer=self.rule.regularizer,
            constraint=_FollowScores(self, path),
            name="scores",
        )
        self._track_trackable(self.scores[path], f"scores_{len(self.scores) - 1}")  # see the masks

    def freeze(self) -> None:
        """Takes the weights out of training; `strip` puts them back."""
        self.__dict__["frozen"] += tuple(v for v in weights_of(self.layer).values() if v.trainable)
        for variable in self.frozen:
            variable.trainable = False

    @property
    def trainable(self) -> bool:
        """Whether the scores are trained; the weights never are."""
        return keras.Layer.trainable.fget(self)

    @trainable.setter
    def trainable(self, value: bool) -> None:
        """Sets whether the scores are trained."""
        keras.Layer.trainable.fset(self, value)
        if self.__dict__.get("attached"):
            self.freeze()

    # From scores to masks.

    def rivals(self, path: str) -> list[tuple[ScoredLayer, str]]:
        """Returns the (layer, path) whose weights compete with this one, itself included; [] where it has its own k."""
        return self.competition.members if self.shared_of(path) else []

    def keep_of(self, path: str) -> int:
        """Returns how many weights stay at a path inside the layer; of competing ones, their part to begin with."""
        return self.places[path][1]

    def shared_of(self, path: str) -> int:
        """Returns how many weights stay of all that this one competes with, or 0."""
        return self.shared[list(self.places).index(path)]

    def seed_of(self, path: str) -> tuple[int, int]:
        """Returns the seed of what is random in a mask outside training."""
        return self.seed + list(self.places).index(path), 0

    def meet(self, model: Any) -> None:
        """Finds the weights of `model` that this layer's weights compete with; a loaded model does so when called."""
        total = max(self.shared, default=0)
        if not total or self.competition.members or not isinstance(model, keras.Model):
            return
        layers = [layer for layer in prunable_layers(model).values() if isinstance(layer, ScoredLayer)]
        family = [layer for layer in layers if layer.origin == self.origin and layer.attached]
        found = [
            (layer, path) for layer in family for path, n in zip(layer.places, layer.shared, strict=True) if n == total
        ]
        if sum(layer.places[path][1] for layer, path in found) == total:
            for layer in family:
                layer.competition.members = found

    def draw_scores(self, seed: int) -> None:
        """Draws initial scores anew, and sets the masks that they mean."""
        for i, (path, (weight, keep)) in enumerate(self.places.items()):
            generator = np.random.default_rng([seed, i])
            self.scores[path].assign(self.rule.first_scores(weight, keep, generator))
        self.project()

    def follow_scores(self, path: str, scores: tf.Tensor) -> None:
        """Sets the mask of one weight to what these scores mean."""
        weight, keep = self.places[path]
        mask = self.rule.mask(weight, scores, keep, self.structure, self.seed_of(path), self.guesses[path])
        self.pairs[path][1].assign(mask)

    def project(self) -> None:
        """Sets the masks to what the scores mean, after a write that did not go through the optimizer."""
        for path, scores in self.scores.items():
            if not self.rivals(path):
                self.follow_scores(path, scores.value)
        if self.competition.members:
            follow_together(self.competition.members)

    def set_masks(self, masks: dict[str, Any]) -> None:
        """Sets masks by path inside the layer until the next step of an optimizer; weights and scores stay."""
        for path, value in masks.items():
            self.pairs[path][1].assign(np.asarray(value, "float32"))

    def take_mask(self, path: str, mask: np.ndarray) -> None:
        """Sets the mask of one weight, and scores that mean it."""
        self.pairs[path][1].assign(mask.astype("float32"))
        self.scores[path].assign(self.rule.scores_of(mask, self.places[path][0], self.scores[path].numpy()))

    # Computing.

    def _run(self, *args: Any, **kwargs: Any) -> Any:
        if not self.pairs:
            return self.layer(*args, **kwargs)
        model = self._get_call_context().entry_layer
        self.meet(model)
        follow_averages(model)
        training = kwargs.get("training", self._get_call_context().get_value("training"))
        with AutocastScope(None):  # mixed precision casts where the variable is read
            values = self._effective(training)
        return self.run_with(values, *args, **kwargs)

    def _effective(self, training: Any) -> list[tuple[keras.Variable, tf.Tensor]]:
        training = training and self.rule.draws
        if training:
            self.draws.assign(self.draws.value + 1)
        values = []
        for i, (path, (w, mask)) in enumerate(self.pairs.items()):
            seed = tf.stack([self.seed + i, self.draws.value]) if training else None
            values.append((w, self.rule.effective(w.value, self.scores[path].value, mask.value, seed)))
        return values

    def effective_weights(self) -> list[tuple[keras.Variable, tf.Tensor]]:
        """Returns pairs (weight, what the layer computes with in its place)."""
        return self._effective(training=False)

    # In a file: masks as bits, and the scores.

    def save_own_variables(self, store: Any) -> None:
        """Writes masks, scores and the number of draws."""
        super().save_own_variables(store)
        for i, scores in enumerate(self.scores.values()):
            store[f"scores{i}"] = scores.numpy()
        store["draws"] = self.draws.numpy()

    def load_own_variables(self, store: Any) -> None:
        """Reads masks, scores and the number of draws."""
        self.load_masks(store)
        for i, scores in enumerate(self.scores.values()):
            scores.assign(np.asarray(store[f"scores{i}"]))
        self.draws.assign(np.asarray(store["draws"]))

    def get_config(self) -> dict:
        """Returns PrunableLayer's, and the selection's."""
        rule = None if self.rule is None else keras.saving.serialize_keras_object(self.rule)
        own = {"rule": rule, "keep": self.keep, "shared": self.shared, "structure": self.structure}
        return {**super().get_config(), **own, "origin": self.origin, "seed": self.seed}
