"""A small vision transformer.

| name | reference |
| --- | --- |
| `vit_tiny` | Dosovitskiy et al., "An Image is Worth 16x16 Words", ICLR 2021, eqs. 1-4 |

Its sizes are DeiT-Ti's (Touvron et al., "Training data-efficient image transformers", ICML 2021, table 1).
"""

from __future__ import annotations

from typing import Any

import keras

from tf_pai.networks.blueprint import NETWORKS, Blueprint, require, require_count
from tf_pai.networks.transformer import INIT, encoder_block, norm


@NETWORKS.register("vit_tiny")
def vit_tiny(
    net: Blueprint, *, patch_size: int | None = None, depth: int = 12, heads: int = 3, dropout: float = 0.0
) -> keras.Model:
    """Builds a ViT of 64 units per head whose class token is classified; `width` scales the units per head.

    Differs from the paper in: one bias per token stands for the patch embedding's bias, the position embedding and
    the class token, whose sums are all that the network sees (2 x 192 parameters fewer); kernels start from
    N(0, .02^2).

    Args:
        net: sizes, decay and seed.
        patch_size: pixels a side of a patch; default 4 for images of at most 64 pixels a side, else 16.
        depth: number of encoder blocks.
        heads: attention heads per block.
        dropout: rate after each branch.

    Raises:
        ValueError: the patches do not fill the image.
    """
    require_count(depth=depth, heads=heads)
    images = net.images(at_least=1)
    patch_size = patch_size if patch_size is not None else 4 if net.small_image else 16
    x = _embedded_patches(net, images, patch_size, heads * net.channels(64))
    x = net.dropout(x, dropout, name="embedding_dropout")
    for block in range(1, depth + 1):
        x = encoder_block(net, x, heads=heads, dropout=dropout, name=f"block{block}")
    return net.classify(images, norm(x, name="norm")[:, 0], init=INIT)


def _embedded_patches(net: Blueprint, images: Any, patch: int, units: int) -> Any:
    """Returns [class token; patches @ kernel] + one bias per token (Dosovitskiy et al., eq. 1)."""
    x = _patches(net, images, patch)
    # An empty patch in front: with nothing to project, what is left of it is its bias, the class token.
    x = keras.layers.ZeroPadding1D((1, 0), name="class_token")(x)
    layer = keras.layers.EinsumDense(
        "btp,pd->btd",
        output_shape=(x.shape[1], units),
        bias_axes="td",
        kernel_initializer=net.initializer(INIT, "patch_embedding"),
        bias_initializer=net.initializer(INIT, "patch_embedding/bias"),
        kernel_regularizer=net.decay(),
        bias_regularizer=net.decay(),
        name="patch_embedding",
    )
    return layer(x)


def _patches(net: Blueprint, images: Any, patch: int) -> Any:
    """Returns the patches of each image, row by row: [batch, patches, patch * patch * channels]."""
    require_count(patch_size=patch)
    height, width, channels = net.input_shape
    require(
        height % patch == 0 and width % patch == 0,
        "patch_size divides the height and the width of the image.",
        "Give a divisor of both.",
        patch_size=patch,
        input_shape=net.input_shape,
    )
    rows, columns = height // patch, width // patch
    x = keras.layers.Reshape((rows, patch, columns, patch, channels), name="patch_rows")(images)
    x = keras.layers.Permute((1, 3, 2, 4, 5), name="patch_order")(x)
    return keras.layers.Reshape((rows * columns, patch * patch * channels), name="patches")(x)
