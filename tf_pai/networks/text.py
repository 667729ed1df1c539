"""Small networks that classify text, given as token ids in [0, vocabulary) where 0 is padding.

| name | reference |
| --- | --- |
| `text_transformer` | Vaswani et al., "Attention Is All You Need", NeurIPS 2017, sec. 3, the encoder |
| `lstm` | Hochreiter & Schmidhuber, "Long Short-Term Memory", Neural Computation 1997 |

The class token is BERT's (Devlin et al., NAACL 2019, sec. 3), the sizes of the LSTM are those of SNIP's LSTM-s
(Lee et al., ICLR 2019, table 2).
"""

from __future__ import annotations

from typing import Any

import keras

from tf_pai.networks.blueprint import NETWORKS, Blueprint, require_count
from tf_pai.networks.transformer import INIT, encoder_block, norm


@NETWORKS.register("text_transformer")
def text_transformer(
    net: Blueprint, *, vocabulary: int = 20_000, depth: int = 2, heads: int = 4, dropout: float = 0.0
) -> keras.Model:
    """Builds an encoder of 32 units per head whose class token is classified; `width` scales the units per head.

    Differs from the paper in: encoder only; learned positions, counted over the tokens that are not padding; norms
    before the branches; GELU.

    Args:
        net: sizes, decay and seed.
        vocabulary: number of token ids; the id `vocabulary` is the class token, which the network puts in front.
        depth: number of encoder blocks.
        heads: attention heads per block.
        dropout: rate after each branch.
    """
    require_count(vocabulary=vocabulary, depth=depth, heads=heads)
    tokens = net.tokens()
    units = heads * net.channels(32)
    with_class = keras.ops.pad(tokens, ((0, 0), (1, 0)), constant_values=vocabulary)
    real = keras.ops.cast(keras.ops.not_equal(with_class, 0), "int32")
    positions = keras.ops.cumsum(real, axis=1) * real  # 1, 2, 3, ...; 0 for padding, so that both masks agree
    words = _embedding(net, with_class, vocabulary + 1, units, name="token_embedding")
    places = _embedding(net, positions, net.input_shape[0] + 2, units, name="position_embedding")
    x = keras.layers.Add(name="embedding_add")([words, places])
    x = net.dropout(x, dropout, name="embedding_dropout")
    for block in range(1, depth + 1):
        x = encoder_block(net, x, heads=heads, dropout=dropout, name=f"block{block}")
    return net.classify(tokens, norm(x, name="norm")[:, 0], init=INIT)


@NETWORKS.register("lstm")
def lstm(net: Blueprint, *, vocabulary: int = 20_000) -> keras.Model:
    """Builds an embedding of 128 units and an LSTM of 128 units whose last state is classified.

    SNIP's LSTM-b is `width=2`.
    Differs from the paper in: forget gates (Gers et al. 2000) with a bias of 1; SNIP reads the rows of MNIST's digits
    through a dense layer where this network reads tokens through an embedding.

    Args:
        net: sizes, decay and seed.
        vocabulary: number of token ids.
    """
    require_count(vocabulary=vocabulary)
    tokens = net.tokens()
    units = net.channels(128)
    x = _embedding(net, tokens, vocabulary, units, name="token_embedding")
    layer = keras.layers.LSTM(
        units,
        kernel_initializer=net.initializer("glorot_normal", "lstm/kernel"),
        recurrent_initializer=keras.initializers.Orthogonal(seed=net.seed_of("lstm/recurrent_kernel")),
        kernel_regularizer=net.decay(),
        recurrent_regularizer=net.decay(),
        bias_regularizer=net.decay(),
        seed=net.seed_of("lstm/dropout"),  # without dropout too, Keras would draw one from the global state
        name="lstm",
    )
    return net.classify(tokens, layer(x), init="glorot_normal")


def _embedding(net: Blueprint, ids: Any, rows: int, units: int, *, name: str) -> Any:
    layer = keras.layers.Embedding(
        rows,
        units,
        mask_zero=True,
        embeddings_initializer=net.initializer(INIT, name),
        embeddings_regularizer=net.decay(),
        name=name,
    )
    return layer(ids)
