"""The rule of benches/slower, on times that are made up."""

import itertools
import pathlib
import random
import sys
import unittest

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parent.parent)]

import change  # noqa: E402


def noisy(rng, middle, noise, count=5):
    """Times as a busy machine gives them: near the middle, and now and then far above."""
    return [middle * (1 + noise * rng.random()) * (1.5 if rng.random() < 0.1 else 1) for _ in range(count)]


class Rule(unittest.TestCase):
    def test_a_slowdown_beyond_the_noise_is_seen_though_a_round_of_each_side_went_wrong(self):
        self.assertEqual(change.verdict([100, 101, 102, 103, 150], [98, 110, 111, 112, 113]), "same")
        self.assertEqual(change.verdict([100, 101, 102, 103, 150], [110, 111, 112, 113, 180]), "slower")

    def test_a_slowdown_of_a_twentieth_is_seen_in_noise_of_a_thirtieth(self):
        rng = random.Random(7)
        seen = sum(change.verdict(noisy(rng, 100, 0.03), noisy(rng, 105, 0.03)) == "slower" for _ in range(1000))
        self.assertGreater(seen, 650)

    def test_what_did_not_change_is_seldom_called_slower(self):
        for noise in (0.01, 0.1, 1.0):
            rng = random.Random(7)
            wrong = sum(change.verdict(noisy(rng, 100, noise), noisy(rng, 100, noise)) == "slower" for _ in range(2000))
            self.assertLess(wrong, 2000 * 1.5 * change.CHANCE, noise)

    def test_a_difference_too_small_to_matter_is_none_however_sure_it_is(self):
        self.assertEqual(change.verdict([100.0] * 5, [101.0] * 5), "same")

    def test_faster_is_slower_the_other_way_round(self):
        slow, quick = [110, 111, 112, 113, 114], [100, 101, 102, 103, 104]
        self.assertEqual((change.verdict(quick, slow), change.verdict(slow, quick)), ("slower", "faster"))

    def test_three_rounds_prove_nothing(self):
        with self.assertRaises(ValueError):
            change.verdict([100] * 3, [200] * 3)

    def test_the_chance_is_that_of_all_orders_counted_one_by_one(self):
        for low, high in ((1, 1), (2, 3), (3, 3), (4, 4)):
            size = low + high
            for places in itertools.combinations(range(size), low):
                rest = [place for place in range(size) if place not in places]
                against = wrong_pairs(places, rest)
                orders = list(itertools.combinations(range(size), low))
                as_clear = sum(wrong_pairs(order, [p for p in range(size) if p not in order]) <= against
                               for order in orders)
                self.assertAlmostEqual(change.chance(list(places), rest), as_clear / len(orders))


def wrong_pairs(low, high):
    return sum(one > other for one in low for other in high)


if __name__ == "__main__":
    unittest.main()
