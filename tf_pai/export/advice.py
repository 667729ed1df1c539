"""What of a TFLite file runs sparse and where, and the smallest change that would make more of it do so.

TFLite computes fully connected layers in 1 x 4 blocks with the kept blocks only, everywhere. XNNPACK computes 1 x 1
convolutions sparsely on ARM, in networks of the form that "Fast Sparse ConvNets" (Elsen et al., CVPR 2020) describes;
its rules are in TensorFlow's lite/delegates/xnnpack/README.md, "Sparse Inference". All else is decoded, and is as fast
as a dense file.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tf_pai.export.encodings import Encoding
from tf_pai.export.flatbuffer import Constant, File

ZEROS_FOR_SPEED = 2 / 3  # of the 1 x 1 convolutions' weights, from which XNNPACK computes them sparsely
_STORAGE = {"DENSIFY", "DEQUANTIZE", "QUANTIZE"}
_ALLOWED = {
    *("ADD", "MUL", "SUB", "ABS", "NEG", "SQUARE", "FLOOR", "CEIL", "ROUND", "ELU", "LEAKY_RELU", "HARD_SWISH"),
    *("RELU", "RELU6", "RELU_N1_TO_1", "PRELU", "LOGISTIC", "MAXIMUM", "MINIMUM", "PAD", "RESIZE_BILINEAR"),
}
_LAST = ("MEAN", "DEPTH_TO_SPACE")


def advice_on(constant: Constant, encoding: Encoding, decode_first: bool) -> str:
    """Returns what runs sparse of one weight, and the smallest change that would make it so; "" where it has no zeros.

    Args:
        constant: the weight.
        encoding: how it is stored.
        decode_first: whether it is decoded before it is used.
    """
    zeros = 1 - np.count_nonzero(constant.values) / constant.values.size
    if not zeros:
        return ""
    if encoding.is_dense:
        return f"stored dense: with {zeros:.0%} zeros of {constant.values.size:,} values, no other encoding is smaller."
    if not decode_first:
        return "runs sparse on x86 and ARM: its kept blocks only."
    if set(constant.kinds) == {"FULLY_CONNECTED"} and constant.values.dtype == np.float32:
        inputs = constant.values.shape[1]
        if inputs % 4:
            return f"decoded, runs dense: blocks of 4 inputs run sparse, and {inputs} is no multiple of 4; pad them."
        return 'decoded, runs dense: prune it with structure="block:4x1", and it runs sparse on x86 and ARM.'
    if set(constant.kinds) == {"FULLY_CONNECTED"}:
        return 'decoded, runs dense: export it in 32-bit floats and structure="block:4x1" to run it sparse.'
    if _is_pointwise(constant):
        return "decoded, runs dense on x86; on ARM, see the note on XNNPACK."
    return "decoded, runs dense on x86 and ARM: TFLite has no sparse kernel for it."


def _is_pointwise(constant: Constant) -> bool:
    return set(constant.kinds) == {"CONV_2D"} and constant.values.shape[1:3] == (1, 1)


def advice_on_arm(file: File, constants: list[Constant], called: dict[int, str]) -> str:
    """Returns whether XNNPACK computes the 1 x 1 convolutions sparsely on ARM, else the first rule that is broken.

    Args:
        file: the file before its constants were encoded.
        constants: its constants.
        called: {index of a constant: what to call it}.
    """
    pointwise = [constant for constant in constants if _is_pointwise(constant)]
    if not pointwise:
        return ""
    broken = _broken_rule(file, {constant.index: constant for constant in constants}, called)
    zeros = 1 - sum(np.count_nonzero(c.values) for c in pointwise) / sum(c.values.size for c in pointwise)
    if not broken and zeros < ZEROS_FOR_SPEED:
        broken = f"{zeros:.0%} of the weights of 1 x 1 convolutions are zero; prune more than {ZEROS_FOR_SPEED:.0%}."
    if broken:
        return f"On ARM, XNNPACK computes the 1 x 1 convolutions densely: {broken}"
    return f"On ARM, XNNPACK computes the {len(pointwise)} 1 x 1 convolutions sparsely (not measured here)."


def _broken_rule(file: File, constants: dict[int, Constant], called: dict[int, str]) -> str:
    """Follows the operations from the first convolution to the one that averages; returns the first in the way."""
    operations = [operation for operation in file.graph.operators if file.kind(operation) not in _STORAGE]
    started = False
    for before, operation in zip([None, *operations], operations, strict=False):
        kind = file.kind(operation)
        weight = constants.get(int(operation.inputs[1])) if len(operation.inputs) > 1 else None
        name = called.get(weight.index, kind) if weight is not None else kind
        if started and kind in _LAST:
            return ""
        if not started and kind == "PAD":
            continue
        if not started:
            fits = kind == "CONV_2D" and weight is not None and weight.values.shape[1:] == (3, 3, 3)
            if not fits or operation.builtinOptions.strideH != 2 or not _is_padded(file, before):
                return f"{name} comes first; it has to be ZeroPadding2D(1) and a valid 3 x 3, stride-2 Conv2D of RGB."
            started = True
        elif kind == "CONV_2D" and weight is not None and weight.values.shape[1:3] != (1, 1):
            return f"{name} is {_size(weight)}; all but the first convolution have to be 1 x 1 or depthwise."
        elif kind == "DEPTHWISE_CONV_2D" and weight is not None and _size(weight) not in ("3 x 3", "5 x 5"):
            return f"{name} is {_size(weight)}; depthwise convolutions have to be 3 x 3 or 5 x 5."
        elif kind not in ("CONV_2D", "DEPTHWISE_CONV_2D") and kind not in _ALLOWED:
            return f"{name} is an operation {kind} before the global average; take it out."
    return "no global average pooling follows; end the convolutions with GlobalAveragePooling2D."


def _is_padded(file: File, operation: Any) -> bool:
    return operation is not None and file.kind(operation) == "PAD"


def _size(constant: Constant) -> str:
    return f"{constant.values.shape[1]} x {constant.values.shape[2]}"
