import numpy as np
import pytest

from tf_pai.callbacks import rules


class TestDropAndGrow:
    #        weights  .5  -.1   .3   .2   0    0
    #        gradient  0    9    0    1   5    7
    weights = np.array([0.5, -0.1, 0.3, 0.2, 0.0, 0.0], "float32")
    gradient = np.array([0.0, 9.0, 0.0, 1.0, 5.0, 7.0], "float32")
    mask = np.array([1, 1, 1, 1, 0, 0], bool)

    @pytest.mark.parametrize(
        "dropped, expected",
        [
            (0, [1, 1, 1, 1, 0, 0]),
            (1, [1, 1, 1, 1, 0, 0]),  # -.1 goes, and comes back: its gradient is the largest
            (2, [1, 1, 1, 0, 0, 1]),  # -.1 and .2 go; 9 and 7 come
            (3, [1, 1, 0, 0, 1, 1]),
            (4, [0, 1, 0, 1, 1, 1]),
        ],
    )
    def test_hand_worked(self, dropped, expected):
        new = rules.exchange(np.abs(self.weights), self.gradient, self.mask, 4 - dropped, 4)
        assert new.numpy().tolist() == [bool(bit) for bit in expected]

    def test_only_what_is_alive_is_kept(self):
        kept = rules.drop(np.zeros(4, "float32"), [False, True, False, True], 1)
        assert kept.numpy().tolist() == [False, True, False, False]

    def test_more_than_there_are_is_all(self):
        assert rules.drop([1.0, 2.0], [True, False], 9).numpy().tolist() == [True, False]
        assert rules.grow([1.0, 2.0], [True, False], 9).numpy().tolist() == [True, True]
        assert rules.grow([1.0, 2.0], [True, False], -1).numpy().tolist() == [True, False]

    def test_by_sign_drops_the_same_part_of_either(self):
        #                   smallest positive: .1 .2 of four; largest negative: -.3 of two; active zero: always
        weights = np.array([0.1, 0.2, 0.6, 0.7, -0.3, -0.9, 0.0], "float32")
        kept = rules.drop_by_sign(weights, np.ones(7, bool), 3)
        assert kept.numpy().tolist() == [False, False, True, True, False, True, False]


def test_counts_are_rounded_as_asked():
    assert [rules.drop_count(0.3, 13, rounding) for rounding in ("floor", "ceil", "round")] == [3, 4, 4]
    assert rules.drop_count(0.3, 10) == 3  # float32(0.3) * 10 is above 3
    assert rules.drop_count(1.0, 5, "ceil") == 5


def test_random_numbers_depend_on_the_seed_alone():
    first, again = rules.uniform((3, 4), (1, 2)), rules.uniform((3, 4), (1, 2))
    assert np.array_equal(first, again) and not np.array_equal(first, rules.uniform((3, 4), (1, 3)))


class TestSharingOut:
    def test_random_cases_are_exact_and_fit(self):
        generator = np.random.default_rng(0)
        for _ in range(500):
            room = generator.integers(0, 20, generator.integers(1, 6))
            total = int(generator.integers(0, room.sum() + 1))
            shares = generator.random(len(room)) * (generator.random(len(room)) > 0.3)
            given = rules.share_out(shares, room, total)
            assert sum(given) == total and all(0 <= n <= most for n, most in zip(given, room, strict=True))

    def test_no_more_than_there_is_room(self):
        assert rules.share_out([1.0, 1.0], [2, 3], 100) == [2, 3]
