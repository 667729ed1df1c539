"""What the masks of a sparse layer keep to, saved with the layer."""

from __future__ import annotations

from typing import Any

import keras


class StructuredMasks(keras.layers.Layer):
    """Mixed into a sparse layer.

    Attributes:
        mask_structure: what the places of kept weights keep to, as "2:4"; None: they are of single weights.
    """

    mask_structure: str | None = None

    def get_config(self) -> dict:
        """Returns the layer's configuration, and what its masks keep to."""
        return {**super().get_config(), "mask_structure": self.mask_structure}

    @classmethod
    def from_config(cls, config: dict) -> Any:
        """Returns the layer of a configuration."""
        layer = super().from_config({name: value for name, value in config.items() if name != "mask_structure"})
        layer.mask_structure = config.get("mask_structure")
        return layer
