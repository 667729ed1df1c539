"""PrunableLayer: any Keras layer, with a mask on each of its prunable weights."""

from __future__ import annotations

import contextlib
import functools
import weakref
from collections.abc import Iterable
from typing import Any

import keras
import numpy as np
from keras.src.backend.common.variables import AutocastScope
from keras.src.utils.python_utils import is_default

from tf_pai.layers.optimizers import optimizers_of, projection_suffices
from tf_pai.layers.paths import prunable_weights, walk, weights_of
from tf_pai.layers.projection import MaskedGradients, Projection, ReadAs, zero_pruned

PACKAGE = "tf_pai"


def _is_fully_built(layer: keras.Layer) -> bool:
    """A layer without a `build` of its own says that it is built before the layers it holds are."""
    return layer.built and not (is_default(layer.build) and any(not child.built for _, child in walk(layer)))


@keras.saving.register_keras_serializable(PACKAGE)
class PrunableLayer(keras.layers.Wrapper):
    """Wraps a layer and holds a mask for each of its prunable weights: it computes with w * m, m in {0, 1}.

    The masks are non-trainable weights of the wrapper, so they are saved, restored, checkpointed and cloned with the
    model. Nothing multiplies in the forward pass: the weight itself is zero where its mask is, a constraint
    projects it back after every update, and its gradient is masked where anything else could see it. Call signature,
    name, dtype policy and all attributes (`layer.kernel`, `layer.units`) are those of the inner layer.

    What is written past the optimizer (`set_weights`, `kernel.assign`) is left as it is until the next update:
    `tf_pai.verify` finds such weights, `project()` sets them to zero. Quantize and add LoRA to `tf_pai.strip(model)`.

    Args:
        layer: the layer to prune; built or not.
        pruned: places in `weights_of(layer)` of the weights that get a mask; default: all prunable ones.
        mask_gradients: whether the gradient of a pruned weight is zero. In `fit` with an element-wise optimizer without
            norms or averages (Adam, SGD, ...) it is left unmasked all the same: the projection alone trains the kept
            weights alike, bit for bit, and saves time; moments of pruned weights are then not zero. Adafactor, which
            divides by the mean square of each row's gradient, gets the unmasked gradient too; set
            `layer.mask_gradients = False` to train with Adafactor in a loop of your own.
        mask_structure: what the masks keep to, as "2:4" or "filter"; None: they are of single weights.

    Example:
        >>> import keras, tf_pai
        >>> model = keras.Sequential([keras.Input((4,)), tf_pai.PrunableLayer(keras.layers.Dense(2, name="fc"))])
        >>> tf_pai.get_masks(model)["fc/kernel"].all()
        np.True_
    """

    takes_no_path_level = True  # in paths, a wrapped layer is called what it was called before
    frozen: tuple[keras.Variable, ...] = ()  # weights that are not trained as long as they are wrapped
    passes_dense_gradients = False  # for the time of a training whose callback needs them; `mask_gradients` is saved

    def __init__(
        self,
        layer: keras.Layer,
        pruned: tuple[int, ...] | None = None,
        mask_gradients: bool = True,
        mask_structure: str | None = None,
        **kwargs: Any,
    ):
        if isinstance(layer, PrunableLayer):
            raise ValueError("A PrunableLayer wraps a plain layer. Received: a PrunableLayer. Wrap `layer.layer`.")

        @functools.wraps(layer.call)  # Keras reads the signature of `call` in Layer.__init__
        def call(*args: Any, **kwargs: Any) -> Any:
            return self._run(*args, **kwargs)

        object.__setattr__(self, "call", call)
        super().__init__(
            layer, **{"name": layer.name, "dtype": layer.dtype_policy, "trainable": layer.trainable, **kwargs}
        )
        self.pruned = None if pruned is None else tuple(pruned)
        self.mask_gradients, self.mask_structure = mask_gradients, mask_structure
        self.autocast = layer.autocast
        self._convert_input_args = layer._convert_input_args
        self._allow_non_tensor_positional_args = layer._allow_non_tensor_positional_args
        self.__dict__["pairs"] = {}  # path in the layer -> (variable, mask); __dict__: not to be tracked twice
        self.attached = False
        if _is_fully_built(layer):
            self._attach()
            self.built = True

    # Building: always the inner layer first, then the masks.

    def build(self, *args: Any, **kwargs: Any) -> None:
        """Builds the inner layer, then the masks."""
        if not self.layer.built:
            self.layer.build(*args, **kwargs)
        self._attach()

    def _maybe_build(self, call_spec: Any) -> None:
        if self.attached:  # not `self.built`: deserialising sets that in any case
            return
        if not _is_fully_built(self.layer):
            self.layer.built = False
            self.layer._maybe_build(call_spec)
        self._tracker.unlock()
        self._attach()
        self.built = True
        self._lock_state()

    def get_build_config(self) -> dict | None:
        """Returns the inner layer's build config."""
        return self.layer.get_build_config()

    def build_from_config(self, config: dict) -> None:
        """Builds the inner layer as it was, then the masks."""
        if not self.layer.built and config:
            self.layer.build_from_config(config)
        if _is_fully_built(self.layer):  # else at the first call
            self._attach()
            self.built = True

    def _attach(self) -> None:
        """Makes a mask of ones for each weight to be pruned, and puts the projection on the weight."""
        if self.attached:
            return
        self.attached = True
        if self.pruned is None:  # fixed now, as places: names and `trainable` may change before the model is saved
            chosen = prunable_weights(self.layer)
            self.pruned = tuple(i for i, path in enumerate(weights_of(self.layer)) if path in chosen)
        known = list(weights_of(self.layer).items())
        for i in self.pruned:
            self._add_mask(i, *known[i])

    def _add_mask(self, place: int, path: str, variable: keras.Variable) -> None:
        with keras.name_scope(self.name, caller=self):
            mask = self.add_weight(
                shape=variable.shape,
                dtype="float32",  # a float multiply costs a tenth of what a select on booleans does
                autocast=False,
                initializer="ones",
                trainable=False,
                aggregation="only_first_replica",
                name="mask",
            )
        self._track_trackable(mask, f"mask_{place}")  # for tf.train.Checkpoint, which looks at attributes only
        self.pairs[path] = (variable, mask)
        variable.constraint = Projection(mask, variable.constraint)

    def add_masks(self, places: Iterable[int]) -> None:
        """Makes a mask of ones for more weights of the layer.

        Args:
            places: places in `weights_of(layer)` of weights without a mask.
        """
        known = list(weights_of(self.layer).items())
        self._tracker.unlock()
        for i in places:
            self._add_mask(i, *known[i])
            self.pruned = (*(self.pruned or ()), i)
        self._lock_state()

    def _open_name_scope(self) -> Any:
        super()._open_name_scope()
        return contextlib.nullcontext()  # the inner layer opens its own: its variables are called what they were

    # Calling.

    def _run(self, *args: Any, **kwargs: Any) -> Any:
        if not self.pairs or not self._masks_gradients_now():
            return self.layer(*args, **kwargs)
        with AutocastScope(None):  # mixed precision casts where the variable is read
            scope = MaskedGradients(list(self.pairs.values()))
        return self.run_in(scope, *args, **kwargs)

    def _masks_gradients_now(self) -> bool:
        optimizer = getattr(self._get_call_context().entry_layer, "optimizer", None)
        optimizers = optimizers_of(optimizer)
        self._project_averages_of(optimizers)
        divides_by_rows = any(isinstance(leaf, keras.optimizers.Adafactor) for leaf in optimizers)
        masks = self.mask_gradients and not self.passes_dense_gradients
        return masks and not divides_by_rows and not projection_suffices(optimizer)

    def _project_averages_of(self, optimizers: list[Any]) -> None:
        for optimizer in optimizers:
            for variable, _ in self.pairs.values() if optimizer.use_ema else ():
                if isinstance(variable.constraint, Projection):
                    variable.constraint.optimizer = weakref.ref(optimizer)

    def run_with(self, values: list[tuple[keras.Variable, Any]], *args: Any, **kwargs: Any) -> Any:
        """Calls the inner layer with some of its variables read as other tensors.

        Args:
            values: pairs (variable, tensor of its shape).
            *args: arguments of the inner layer's call.
            **kwargs: keyword arguments of the inner layer's call.
        """
        return self.run_in(ReadAs(values), *args, **kwargs)

    def run_in(self, scope: ReadAs, *args: Any, **kwargs: Any) -> Any:
        """Calls the inner layer inside a scope, and keeps the losses that it adds there."""
        with scope:
            outputs = self.layer(*args, **kwargs)
        if scope.losses:
            self.add_loss(scope.losses)
        return outputs

    def compute_output_spec(self, *args: Any, **kwargs: Any) -> Any:
        """Is the inner layer's."""
        return self.layer.compute_output_spec(*args, **kwargs)

    def compute_output_shape(self, *args: Any, **kwargs: Any) -> Any:
        """Is the inner layer's."""
        return self.layer.compute_output_shape(*args, **kwargs)

    def compute_mask(self, *args: Any, **kwargs: Any) -> Any:
        """Is the inner layer's (of timesteps, not of weights)."""
        return self.layer.compute_mask(*args, **kwargs)

    supports_masking = property(lambda self: self.layer.supports_masking, lambda self, value: None)
    input_spec = property(lambda self: self.layer.input_spec, lambda self, value: None)

    # Masks.

    def get_masks(self) -> dict[str, np.ndarray]:
        """Returns {path inside the layer: boolean mask}, True = kept."""
        return {path: mask.numpy() != 0 for path, (_, mask) in self.pairs.items()}

    def set_masks(self, masks: dict[str, Any]) -> None:
        """Sets masks by path inside the layer, and the pruned weights to zero."""
        for path, value in masks.items():
            self.pairs[path][1].assign(value)
        self.project()

    def project(self) -> None:
        """Sets pruned weights to zero, after a write that did not go through the optimizer."""
        for variable, mask in self.pairs.values():
            variable.assign(zero_pruned(variable.value, mask.value))

    def effective_weights(self) -> list[tuple[keras.Variable, Any]]:
        """Returns pairs (weight, what the layer computes with in its place)."""
        return [(variable, zero_pruned(variable.value, mask.value)) for variable, mask in self.pairs.values()]

    def enable_lora(self, *args: Any, **kwargs: Any) -> None:
        """Raises ValueError: the product of two small matrices is dense, pruned places included."""
        raise ValueError(
            f"LoRA adds a dense matrix, and a pruned weight is zero. Received: enable_lora on pruned {self.name!r}. "
            "Call it on tf_pai.strip(model), or leave the layer out with exclude=."
        )

    # In a file, a mask takes one bit per weight.

    def save_own_variables(self, store: Any) -> None:
        """Writes the masks, packed to bits."""
        for i, (_, mask) in enumerate(self.pairs.values()):
            store[str(i)] = np.packbits(mask.numpy() != 0)

    def load_own_variables(self, store: Any) -> None:
        """Reads the masks; of a file from the middle of a training whose masks move, what that remembers, too."""
        self.load_masks(store)
        if any(not name.isdigit() for name in store.keys()):  # noqa: SIM118, a store of Keras is no dict
            from tf_pai.layers.dynamic import read_memory  # built on this module

            read_memory(self, store)

    def load_masks(self, store: Any) -> None:
        """Reads the masks."""
        for i, (_, mask) in enumerate(self.pairs.values()):
            size = int(np.prod(mask.shape))
            mask.assign(np.unpackbits(np.asarray(store[str(i)]))[:size].reshape(mask.shape).astype("float32"))

    # Looking like the inner layer.

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or "layer" not in self.__dict__:
            raise AttributeError(name)
        return getattr(self.__dict__["layer"], name)

    def __setattr__(self, name: str, value: Any) -> None:
        inner = self.__dict__.get("layer")
        own = name.startswith("_") or name in self.__dict__ or hasattr(type(self), name) or not hasattr(inner, name)
        if inner is None or own:
            super().__setattr__(name, value)
        else:
            setattr(inner, name, value)

    def get_config(self) -> dict:
        """Returns the inner layer and the places of the pruned weights."""
        own = {name: getattr(self, name) for name in ("pruned", "mask_gradients", "mask_structure")}
        return {**super().get_config(), **own}
