"""The encoder block that the transformers for images and for text share."""

from __future__ import annotations

from typing import Any

import keras

from tf_pai.networks.blueprint import Blueprint

INIT = "normal_0.02"
"""What BERT and DeiT start from, though they truncate it at two deviations."""


def encoder_block(net: Blueprint, x: Any, *, heads: int, dropout: float, name: str) -> Any:
    """Returns x + attention(norm(x)), then that plus its perceptron of 4 x the units: a pre-norm encoder block.

    Vaswani et al., "Attention Is All You Need", NeurIPS 2017, fig. 1 left, with the norms moved before the branches
    (Xiong et al., "On Layer Normalization in the Transformer Architecture", ICML 2020, fig. 1b) and GELU for ReLU.
    """
    y = norm(x, name=f"{name}_attention_norm")
    y = net.dropout(attention(net, y, heads=heads, name=f"{name}_attention"), dropout, name=f"{name}_attention_dropout")
    x = keras.layers.Add(name=f"{name}_attention_add")([x, y])
    units = x.shape[-1]
    y = norm(x, name=f"{name}_mlp_norm")
    y = net.dense(y, 4 * units, activation="gelu", init=INIT, name=f"{name}_mlp1")
    y = net.dense(y, units, init=INIT, name=f"{name}_mlp2")
    y = net.dropout(y, dropout, name=f"{name}_mlp_dropout")
    return keras.layers.Add(name=f"{name}_mlp_add")([x, y])


def norm(x: Any, *, name: str) -> Any:
    """Returns x layer-normalised with the epsilon of ViT's code."""
    return keras.layers.LayerNormalization(epsilon=1e-6, name=name)(x)


def attention(net: Blueprint, x: Any, *, heads: int, name: str) -> Any:
    """Returns the multi-head self-attention of x.

    Keras hands one seed to all projections, which makes query, key and value equal: each draws again from its own.
    In a model made from this one's config (`keras.models.clone_model`) they are equal until the weights are copied.
    """
    layer = keras.layers.MultiHeadAttention(
        heads,
        x.shape[-1] // heads,
        kernel_initializer=net.initializer(INIT, name),
        kernel_regularizer=net.decay(),
        bias_regularizer=net.decay(),
        name=name,
    )
    y = layer(x, x)
    for part in (layer.query_dense, layer.key_dense, layer.value_dense, layer.output_dense):
        part.kernel_initializer = net.initializer(INIT, f"{name}/{part.name}")
        part.kernel.assign(part.kernel_initializer(part.kernel.shape, part.kernel.dtype))
    return y
