import keras
import numpy as np
import pytest
from keras.src.optimizers.schedule_free_adamw import ScheduleFreeAdamW

from tf_pai.callbacks.slots import counter_of, momentum_of, slots_of

ALL = [
    keras.optimizers.SGD(momentum=0.9),
    *(getattr(keras.optimizers, name)() for name in ("Adam", "AdamW", "Adamax", "Adadelta", "Adagrad", "Adafactor")),
    *(getattr(keras.optimizers, name)() for name in ("Ftrl", "Lamb", "Lion", "Muon", "Nadam", "RMSprop")),
    ScheduleFreeAdamW(),
]


def two_weights():
    """Two weights of one path and shape, as two nested models give them, and a bias."""
    weights = [keras.Variable(np.zeros((4, 3)), name="kernel") for _ in range(2)]
    return weights[0], keras.Variable(np.zeros(3), name="bias"), weights[1]


@pytest.mark.parametrize("optimizer", ALL, ids=lambda o: type(o).__name__)
def test_finds_all_slots_of_the_right_weight(optimizer):
    first, bias, second = two_weights()
    optimizer.build([first, bias, second])
    slots = [slots_of(optimizer, weight) for weight in (first, second)]
    of_this_shape = {id(v) for v in optimizer.variables if tuple(v.shape) == (4, 3)}
    found = [{id(slot.variable) for slot in own} for own in slots]
    assert found[0] | found[1] == of_this_shape and not found[0] & found[1] and len(found[0]) == len(found[1])
    for slot in slots[0]:
        np.testing.assert_allclose(slot.variable.numpy(), slot.initial)


def test_averages_and_accumulated_gradients_are_slots():
    optimizer = keras.optimizers.Adam(use_ema=True, gradient_accumulation_steps=2)
    first, bias, second = two_weights()
    optimizer.build([first, bias, second])
    kinds = {slot.kind for slot in slots_of(optimizer, second)}
    assert kinds == {"average", "gradient_accumulator", "momentum", "velocity"}


def test_looks_behind_loss_scaling_and_several_optimizers():
    first, bias, second = two_weights()
    scaled = keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam())
    scaled.build([first, bias, second])
    assert len(slots_of(scaled, first)) == 2 and counter_of(scaled) is scaled.inner_optimizer
    parts = {id(first): keras.optimizers.SGD(momentum=0.9), id(second): keras.optimizers.Adam()}
    several = keras.optimizers.MultiOptimizer(lambda v: parts.get(id(v), parts[id(first)]))
    several.build([first, bias, second])
    assert (len(slots_of(several, first)), len(slots_of(several, second))) == (1, 2)


class Unknown(keras.optimizers.Optimizer):
    """Slots in a list under names of their own, and one that is in no list."""

    def build(self, variables):
        super().build(variables)
        self.mine = [self.add_variable(v.shape, initializer=keras.initializers.Constant(2.0)) for v in variables]
        for v in variables:
            self.add_variable_from_reference(v, name="loose", initializer="ones")


def test_unknown_slots_are_found_with_their_initial_values():
    first, bias, second = two_weights()
    optimizer = Unknown(0.1)
    optimizer.build([first, bias, second])
    slots = slots_of(optimizer, second)
    assert {(slot.kind, slot.initial) for slot in slots} == {("loose", 1.0), ("mine", 2.0)}
    assert any(slot.variable is optimizer.mine[2] for slot in slots)


def test_no_optimizer_no_slots():
    assert slots_of(None, two_weights()[0]) == []


def test_momentum():
    first, bias, second = two_weights()
    for optimizer, expected in ((keras.optimizers.Adam(), (True, True)), (keras.optimizers.SGD(), (False, False))):
        optimizer.build([first, bias, second])
        assert tuple(m is not None for m in momentum_of(slots_of(optimizer, first))) == expected


@pytest.mark.parametrize(
    "optimizer, expected",
    [(keras.optimizers.RMSprop(momentum=0.9), (True, False)), (ScheduleFreeAdamW(), (False, False))],
)
def test_what_is_called_momentum_and_is_another_thing(optimizer, expected):
    first, bias, second = two_weights()
    optimizer.build([first, bias, second])
    momentum, velocity = momentum_of(slots_of(optimizer, first))
    assert (momentum is not None, velocity is not None) == expected
