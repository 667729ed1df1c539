"""What dynamic masks need of a sparse kernel, in a graph: its dense gradient, and other places for its values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from tf_pai import kernels

Sink = Callable[[tf.Tensor, tf.Tensor], None]


class MovableKernel:
    """Mixed into `SparseKernel`.

    Attributes:
        gradient_sink: where one is set, the backward pass calls it with the layer's inputs and the gradient by its
            product, of which `dense_gradient` makes that by all weights, kept or not.
        has_tiles: whether `dense_gradient` gives some rows without the others.
    """

    gradient_sink: Sink | None = None
    has_tiles = True

    def flat_positions(self: Any) -> tf.Tensor:
        """Returns the row-major positions of the kept weights in the dense kernel, int64 [nnz], rising; not for XLA."""
        if kernels.built():
            return kernels.flat_positions(self._row_ptr.value, self._col_idx.value, self.matrix_shape[1])
        return self._flat_by_tensorflow()

    def _flat_by_tensorflow(self: Any) -> tf.Tensor:
        """The same for every graph, compiled ones as well."""
        begins = tf.cast(self._row_ptr.value, "int64")[1:-1, None]  # of each row but the first; nnz where none follows
        steps = tf.scatter_nd(begins, tf.ones_like(begins[:, 0]), tf.constant([self.nnz + 1], "int64"))
        return tf.cumsum(steps)[:-1] * self.matrix_shape[1] + tf.cast(self._col_idx.value, "int64")

    def move(self: Any, flat: tf.Tensor, values: tf.Tensor) -> None:
        """Puts the kept weights, as many as there are, to other places.

        Args:
            flat: rising row-major positions, int64 [nnz].
            values: [nnz].
        """
        variables, shape = self.structure_variables, self._structure_shape
        if kernels.built():
            made = kernels.structure_arrays(flat, shape)
        else:
            arrays = lambda flat: list(kernels.from_flat(flat, shape).arrays.values())  # noqa: E731
            made = tf.numpy_function(arrays, [flat], [variable.dtype for variable in variables])
        for variable, array in zip(variables, made, strict=True):
            variable.assign(tf.ensure_shape(array, variable.shape))
        self._kernel.assign(values)

    def _tapped(self: Any, inputs: Any, outputs: Any) -> Any:
        """The outputs, before their activation; `gradient_sink` is called when they are differentiated."""
        sink = self.gradient_sink
        if sink is None:
            return outputs
        return _tapped(lambda dy: sink(inputs, dy), outputs)

    def dense_gradient(self: Any, inputs: tf.Tensor, dy: tf.Tensor, begin: Any, rows: int) -> tf.Tensor:
        """Returns some rows of dL/dw of the dense kernel as a matrix.

        Args:
            inputs: of the layer.
            dy: the gradient by the layer's product.
            begin: the first of the rows.
            rows: how many.
        """
        all_rows, cols = self.matrix_shape
        return kernels.dense_gradient(tf.reshape(inputs, [-1, all_rows]), tf.reshape(dy, [-1, cols]), begin, rows)


def _tapped(tap: Callable[[tf.Tensor], None], outputs: tf.Tensor) -> tf.Tensor:
    @tf.custom_gradient
    def same(outputs: tf.Tensor) -> Any:
        def backward(dy: tf.Tensor) -> tf.Tensor:
            tap(dy)
            return dy

        return tf.identity(outputs), backward

    return same(outputs)
