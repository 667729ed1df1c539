"""One small model for each kind of layer that can be pruned."""

import keras
import numpy as np

L = keras.layers
IMAGE, SEQUENCE, VECTOR, TOKENS = (6, 6, 3), (6, 5), (7,), (6,)


@keras.saving.register_keras_serializable("tests")
class OddNames(L.Layer):
    """A custom layer whose variables have names that Keras would not give."""

    def build(self, shape):
        self.funny = self.add_weight(shape=(shape[-1], 5), name="myOdd.Matrix", initializer="glorot_uniform")
        self.offset = self.add_weight(shape=(5,), name="b", initializer="zeros")

    def call(self, x):
        return keras.ops.matmul(x, self.funny) + self.offset


@keras.saving.register_keras_serializable("tests")
class BlockOfLayers(L.Layer):
    """A custom layer of layers, with state: BatchNorm, dropout, a loss."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.first, self.norm, self.dropout = L.Dense(8), L.BatchNormalization(), L.Dropout(0.3)
        self.rest = [L.Dense(8, activation="relu"), L.Dense(8, activity_regularizer="l2")]

    def call(self, x, training=None):
        x = self.dropout(self.norm(self.first(x), training=training), training=training)
        for layer in self.rest:
            x = layer(x)
        return x


@keras.saving.register_keras_serializable("tests")
class PositiveSteps(L.Layer):
    """Attention masks (batch, steps, 1): which steps begin with a positive number."""

    def call(self, x):
        return x[..., :1] > 0


def _attend(x):
    return L.MultiHeadAttention(2, 3, dropout=0.1)(x, x)


def _attend_to_others(x):
    values, keys = L.Dense(5)(x), L.Dense(5)(x)
    return L.MultiHeadAttention(2, 3)(x, values, key=keys, use_causal_mask=True)


def _attend_with_mask(x):
    return L.MultiHeadAttention(2, 3)(query=x, value=x, attention_mask=PositiveSteps()(x))


def _masked_attention(x):
    embedded = L.Embedding(20, 4, mask_zero=True)(x)
    return L.MultiHeadAttention(2, 3)(embedded, embedded)


def _scaled_attention(x):
    return L.Attention(use_scale=True)([L.Dense(4)(x), L.Dense(4)(x)])


def _lstm_over_masked(x):
    return L.LSTM(4)(L.Embedding(20, 4, mask_zero=True)(x))


def _gru_with_state(x):
    return L.GRU(4)(x, initial_state=L.Dense(4)(L.Flatten()(x)))


def _gru_with_dropout(x):
    return L.GRU(4, return_sequences=True, dropout=0.2, recurrent_dropout=0.2)(x)


def _rnn_that_returns_state(x):
    output, hidden, cell = L.LSTM(4, return_state=True)(x)
    return L.Concatenate()([output, hidden, cell])


# name -> (layers applied to the input, shape of the input, number of weights that get a mask, the head's left out)
CASES = {
    "Dense": (lambda x: L.Dense(5)(x), VECTOR, 1),
    "Dense with a constraint": (lambda x: L.Dense(5, kernel_constraint=keras.constraints.MaxNorm(0.5))(x), VECTOR, 1),
    "Conv1D": (lambda x: L.Conv1D(4, 3)(x), SEQUENCE, 1),
    "Conv2D": (lambda x: L.Conv2D(4, 3)(x), IMAGE, 1),
    "Conv2D in groups": (lambda x: L.Conv2D(6, 3, groups=3)(x), IMAGE, 1),
    "Conv3D": (lambda x: L.Conv3D(4, 2)(x), (4, 4, 4, 2), 1),
    "Conv1DTranspose": (lambda x: L.Conv1DTranspose(4, 3)(x), SEQUENCE, 1),
    "Conv2DTranspose": (lambda x: L.Conv2DTranspose(4, 3)(x), IMAGE, 1),
    "Conv3DTranspose": (lambda x: L.Conv3DTranspose(3, 2)(x), (3, 3, 3, 2), 1),
    "DepthwiseConv1D": (lambda x: L.DepthwiseConv1D(3)(x), SEQUENCE, 1),
    "DepthwiseConv2D": (lambda x: L.DepthwiseConv2D(3, depth_multiplier=2)(x), IMAGE, 1),
    "SeparableConv1D": (lambda x: L.SeparableConv1D(4, 3)(x), SEQUENCE, 2),
    "SeparableConv2D": (lambda x: L.SeparableConv2D(4, 3)(x), IMAGE, 2),
    "EinsumDense": (lambda x: L.EinsumDense("abc,cd->abd", (6, 4), bias_axes="d")(x), SEQUENCE, 1),
    "MultiHeadAttention": (_attend, SEQUENCE, 4),
    "MultiHeadAttention, value and key": (_attend_to_others, SEQUENCE, 6),
    "MultiHeadAttention, mask": (_attend_with_mask, SEQUENCE, 4),
    "MultiHeadAttention over masked": (_masked_attention, TOKENS, 5),
    "GroupQueryAttention": (lambda x: L.GroupQueryAttention(4, 4, 2)(x, x), SEQUENCE, 4),
    "Attention": (_scaled_attention, SEQUENCE, 2),
    "Embedding": (lambda x: L.Embedding(20, 4)(x), TOKENS, 1),
    "ReversibleEmbedding": (lambda x: L.ReversibleEmbedding(20, 4)(x), TOKENS, 1),
    "SimpleRNN": (lambda x: L.SimpleRNN(4, activation="relu")(x), SEQUENCE, 2),
    "LSTM": (lambda x: L.LSTM(4)(x), SEQUENCE, 2),
    "LSTM over masked": (_lstm_over_masked, TOKENS, 3),
    "LSTM with states": (_rnn_that_returns_state, SEQUENCE, 2),
    "GRU with dropout": (_gru_with_dropout, SEQUENCE, 2),
    "GRU from a state": (_gru_with_state, SEQUENCE, 3),
    "RNN of cells": (lambda x: L.RNN([L.LSTMCell(4), L.GRUCell(3)])(x), SEQUENCE, 4),
    "Bidirectional": (lambda x: L.Bidirectional(L.LSTM(3))(x), SEQUENCE, 4),
    "TimeDistributed": (lambda x: L.TimeDistributed(L.Conv1D(2, 2))(x), (3, 5, 4), 1),
    "ConvLSTM2D": (lambda x: L.ConvLSTM2D(3, 2)(x), (3, 4, 4, 2), 2),
    "SpectralNormalization": (lambda x: L.SpectralNormalization(L.Dense(4))(x), VECTOR, 1),
    "a custom layer": (lambda x: OddNames()(x), VECTOR, 1),
    "a custom block": (lambda x: BlockOfLayers()(x), VECTOR, 3),
}


def groups():
    """Names of cases of the same input, a few at a time, which one model can hold beside each other."""
    by_shape = {}
    for name, (_, shape, _) in CASES.items():
        by_shape.setdefault(shape, []).append(name)
    return [tuple(names[i : i + 6]) for names in by_shape.values() for i in range(0, len(names), 6)]


def build(names, nested=False):
    """The layers of the cases, side by side under a Dense head; nested: in a model inside one of equal layer names."""
    shape = CASES[names[0]][1]
    dtype = "int32" if shape == TOKENS else None
    inputs = keras.Input(shape, dtype=dtype)
    branches = [L.Flatten()(CASES[name][0](inputs)) for name in names]
    outputs = L.Concatenate()(branches) if len(branches) > 1 else branches[0]
    model = keras.Model(inputs, L.Dense(3, name="head")(outputs))
    if nested:
        outer = keras.Input(shape, dtype=dtype)
        model = keras.Model(outer, L.Dense(3, name="head")(model(outer)))
    return model


def data(names, examples=16, seed=0):
    rng, shape = np.random.default_rng(seed), CASES[names[0]][1]
    whole = (examples, *shape)
    x = rng.integers(0, 20, whole, dtype="int32") if shape == TOKENS else rng.standard_normal(whole).astype("float32")
    return x, rng.integers(0, 3, examples)
