"""A layer's kernel as its kept values and where they are; the dense kernel never exists."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras.src.backend.common.variables import AutocastScope

from tf_pai import kernels
from tf_pai.kernels import SparseStructure
from tf_pai.layers.forms import OWN_OPTIONS, Convertible
from tf_pai.layers.movable import MovableKernel
from tf_pai.layers.optimizers import training_optimizers
from tf_pai.layers.options import refuse_whole_kernel_options
from tf_pai.layers.positions import SPREADS, carried_over, checked_positions, draw_positions, initializer_of_kept
from tf_pai.layers.structured import StructuredMasks
from tf_pai.registry import nearest

ARRAYS = tuple(field.name for field in dataclasses.fields(SparseStructure)[1:])
NEEDS_MATRIX = (keras.optimizers.Adafactor, keras.optimizers.Muon)  # their rules read rows and columns of the weight


class SparseKernel(MovableKernel, Convertible, StructuredMasks):
    """Mixed into a Keras layer with a kernel, makes `kernel` a vector of the kept values, in row-major order.

    These are all that is trained of the kernel: gradients and optimizer slots have one entry for each. Where they are
    is held in non-trainable weights, which are saved with the model. Native kernels compute in float32, whatever the
    type of the activations; where they are not available, or the weights are of another type, the layer computes with
    a dense kernel that is made anew in each call.

    Attributes:
        stands_for: the Keras layer that it is a sparse form of.
        kernel_shape: shape of the dense kernel.
    """

    stands_for: type[keras.Layer]
    kernel_shape: tuple[int, ...]

    def _set_options(self, density: float, distribution: str, seed: int | None) -> None:
        name = type(self).__name__
        is_number = isinstance(density, (int, float)) and not isinstance(density, bool)
        if not is_number or not 0 < density <= 1:
            raise ValueError(f"{name} keeps a fraction of its weights, in (0, 1]. Received: density={density!r}.")
        if distribution not in SPREADS:
            raise ValueError(
                f"{name} draws its kept weights by one of {', '.join(map(repr, SPREADS))}. Received: "
                f"distribution={distribution!r}.{nearest(str(distribution), list(SPREADS))}"
            )
        refuse_whole_kernel_options(self)
        self.density, self.distribution, self.seed = float(density), distribution, seed
        self.supports_jit = False
        self.__dict__["_positions"] = None  # flat positions that `build` takes in place of random ones

    # Building.

    def add_weight(self, *args: Any, name: str | None = None, **kwargs: Any) -> Any:
        """Adds a weight; in place of one that is called "kernel", its kept values and their structure."""
        if name != "kernel":
            return super().add_weight(*args, name=name, **kwargs)
        return self._add_kernel(*args, **kwargs)

    def _add_kernel(self, shape: Any, initializer: Any, **kwargs: Any) -> keras.Variable:
        self.kernel_shape = tuple(int(length) for length in shape)
        rows, cols = self.matrix_shape
        flat, self.__dict__["_positions"] = self._positions, None
        if flat is None:
            flat = draw_positions(rows, cols, self.density, self.distribution, self.seed)
        structure = kernels.from_flat(flat, self._structure_shape)
        for array_name, array in structure.arrays.items():
            variable = super().add_weight(
                shape=array.shape,
                dtype=str(array.dtype),
                autocast=False,
                initializer=_returning(array),  # an assignment would be lost where a trace builds the layer
                trainable=False,
                aggregation="only_first_replica",
                name=array_name,
            )
            setattr(self, f"_{array_name}", variable)
        density = structure.nnz / (rows * cols)
        fans = rows, cols * int(np.prod(getattr(self, "kernel_size", ())))
        initializer = initializer_of_kept(initializer, fans, density, structure.nnz)
        options = {**kwargs, "autocast": False, "shape": (structure.nnz,), "initializer": initializer}
        return super().add_weight(name="kernel", **options)

    @property
    def matrix_shape(self) -> tuple[int, int]:
        """Rows and columns of the kernel as a matrix: what is summed over, and outputs."""
        return int(np.prod(self.kernel_shape[:-1], dtype=np.int64)), self.kernel_shape[-1]

    @property
    def _structure_shape(self) -> tuple[int, ...]:
        return self.kernel_shape

    # Structure.

    @property
    def structure_variables(self) -> list[keras.Variable]:
        """The non-trainable weights that say where the kept values are."""
        return [getattr(self, f"_{name}") for name in ARRAYS if hasattr(self, f"_{name}")]

    @property
    def nnz(self) -> int:
        """How many weights are kept."""
        return int(self._kernel.shape[0])

    @property
    def structure(self) -> SparseStructure:
        """Where the kept weights are, as NumPy arrays."""
        arrays = (variable.numpy() for variable in self.structure_variables)
        return SparseStructure(self._structure_shape, *arrays)

    def positions(self) -> np.ndarray:
        """Returns the row-major positions of the kept weights in the dense kernel, int64 [nnz], rising.

        Raises:
            ValueError: the structure's arrays do not belong together, or lead outside the kernel.
        """
        return checked_positions(self._row_ptr.numpy(), self._col_idx.numpy(), self.matrix_shape, self.nnz, self.path)

    def check_structure(self) -> None:
        """Raises ValueError where the structure's arrays, in both orders, do not belong together."""
        expected = kernels.from_flat(self.positions(), self._structure_shape).arrays
        for variable, (name, array) in zip(self.structure_variables, expected.items(), strict=True):
            if not np.array_equal(variable.numpy(), array):
                raise ValueError(
                    f"The arrays of {self.path} hold the same places. Received: another {name} than row_ptr and "
                    "col_idx give. Load the model again, or set its masks."
                )

    def as_bool(self) -> np.ndarray:
        """Returns the mask as booleans of the dense kernel's shape."""
        mask = np.zeros(self.kernel_shape, bool)
        mask.flat[self.positions()] = True
        return mask

    def set_positions(self, flat: Any, values: Any = None) -> None:
        """Moves the kept weights, as many as there are, to other places.

        Args:
            flat: row-major positions in the dense kernel, integers [nnz], none twice.
            values: [nnz], in rising order of the positions; default: weights that stay keep theirs, others are zero.

        Raises:
            ValueError: another number of positions, or some that are out of range or there twice.
        """
        flat = np.sort(np.asarray(flat).astype(np.int64, casting="same_kind"))
        if flat.shape != (self.nnz,):
            raise ValueError(
                f"{self.name!r} has places for {self.nnz} kept weights. Received: {flat.shape}. tf_pai.set_masks "
                "gives it another number of them."
            )
        structure = kernels.from_flat(flat, self._structure_shape)
        if values is None:
            values = carried_over(self._kernel.numpy(), self.positions(), flat)
        for variable, array in zip(self.structure_variables, structure.arrays.values(), strict=True):
            variable.assign(array)
        self._kernel.assign(values)

    def dense_value(self) -> np.ndarray:
        """Returns the dense kernel, zeros at pruned places."""
        kernel = np.zeros(self.kernel_shape, self._kernel.numpy().dtype)
        kernel.flat[self.positions()] = self._kernel.numpy()
        return kernel

    # Computing.

    def call(self, inputs: Any) -> Any:
        """Computes the layer."""
        self._refuse_matrix_rules()
        if isinstance(inputs, tf.SparseTensor):
            inputs = tf.sparse.to_dense(inputs)
        is_float32 = self._kernel.dtype == "float32" and self.compute_dtype != "float64"
        if not is_float32 or not kernels.available():
            return self._call_densely(inputs)
        arrays = (tf.convert_to_tensor(variable.value) for variable in self.structure_variables)
        structure = SparseStructure(self._structure_shape, *arrays)
        with AutocastScope(None):  # values and biases in float32, whatever the activations are
            values, bias = self._kernel.value, None if self.bias is None else self.bias.value
        relu = self.activation is keras.activations.relu and self.gradient_sink is None
        inputs = tf.cast(inputs, "float32")
        outputs = self._tapped(inputs, self._compute(inputs, values, structure, bias, relu))
        outputs = tf.cast(outputs, self.compute_dtype)
        return outputs if relu or self.activation is None else self.activation(outputs)

    def _call_densely(self, inputs: Any) -> tf.Tensor:
        with AutocastScope(None):
            dense = self._dense_tensor()
        outputs = self._tapped(inputs, self._compute_densely(inputs, tf.cast(dense, self.compute_dtype)))
        if self.bias is not None:
            outputs = outputs + tf.cast(self.bias.value, outputs.dtype)
        return outputs if self.activation is None else self.activation(outputs)

    def _compute_densely(self, inputs: Any, kernel: tf.Tensor) -> tf.Tensor:
        raise NotImplementedError

    def _compute(self, inputs: Any, values: Any, structure: SparseStructure, bias: Any, relu: bool) -> tf.Tensor:
        raise NotImplementedError

    def _dense_tensor(self) -> tf.Tensor:
        """The dense kernel as a function of the kept values."""
        size = tf.constant([int(np.prod(self.matrix_shape, dtype=np.int64))], "int64")
        dense = tf.scatter_nd(self._flat_by_tensorflow()[:, None], self._kernel.value, size)
        return tf.reshape(dense, self.kernel_shape)

    def _refuse_matrix_rules(self) -> None:
        context = self._get_call_context()
        for optimizer in training_optimizers(context.entry_layer, self._kernel) if context.training else ():
            if isinstance(optimizer, NEEDS_MATRIX):
                name = type(optimizer).__name__
                raise ValueError(
                    f"{name} reads rows and columns of a weight, and a sparse layer trains a vector of its kept "
                    f"values. Received: {name} for sparse {self.name!r}. Train tf_pai.to_dense(model), or with another "
                    "optimizer."
                )

    def enable_lora(self, *args: Any, **kwargs: Any) -> None:
        """Raises ValueError: the product of two small matrices is dense."""
        raise ValueError(
            f"LoRA adds a dense matrix. Received: enable_lora on sparse {self.name!r}. Call it on tf_pai.strip(model)."
        )

    def quantize(self, *args: Any, **kwargs: Any) -> None:
        """Raises NotImplementedError, at which `Model.quantize` warns and goes on: the kernels compute in float32."""
        raise NotImplementedError(
            f"Sparse layers compute in float32. Received: quantize on sparse {self.name!r}. Call it on "
            "tf_pai.strip(model)."
        )

    # Files hold the rows' pointers and the columns; the other orders are made of them.

    def save_own_variables(self, store: Any) -> None:
        """Writes values, bias and structure."""
        if self.built:
            store["kernel"] = self._kernel.numpy()
            store["row_ptr"], store["col_idx"] = self._row_ptr.numpy(), self._col_idx.numpy()
            if self.bias is not None:
                store["bias"] = self.bias.numpy()

    def load_own_variables(self, store: Any) -> None:
        """Reads values, bias and structure.

        Raises:
            ValueError: they do not belong together, or not to this layer.
        """
        if not self.built:
            return
        wanted = {"kernel", "row_ptr", "col_idx"} | ({"bias"} if self.bias is not None else set())
        if set(store.keys()) != wanted:
            raise ValueError(f"{self.path} is stored as {sorted(wanted)}. Received: {sorted(store.keys())}.")
        arrays = {name: np.asarray(store[name]) for name in wanted}
        flat = checked_positions(arrays["row_ptr"], arrays["col_idx"], self.matrix_shape, self.nnz, self.path)
        if arrays["kernel"].shape != (self.nnz,):
            raise ValueError(f"{self.path} has {self.nnz} kept weights. Received: {arrays['kernel'].shape}.")
        self.set_positions(flat, arrays["kernel"])
        if self.bias is not None:
            self.bias.assign(arrays["bias"])

    def get_config(self) -> dict:
        """Returns the plain layer's, and the density."""
        config = super().get_config()
        return {**config, **{name: getattr(self, name) for name in OWN_OPTIONS}}


def _returning(array: np.ndarray) -> Callable[..., tf.Tensor]:
    return lambda shape, dtype=None: tf.convert_to_tensor(array)
