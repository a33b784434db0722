"""Whether a bench changed, judged by its times in several rounds of each side. Pure: numbers in, a verdict out.

A machine that does other work makes single rounds slow on either side and drifts, so no single interval is believed:
a bench is slower when its times of one side rank above those of the other by more than chance would have it (the exact
test of Mann and Whitney, one-sided) and the medians differ by more than MATTERS. Ranks take no notice of how far away
an outlier is."""

import functools
import statistics

# How often chance alone may say so, of benches that did not change; benches/slower asks twice.
CHANCE = 0.05
# Less than this is not worth a look.
MATTERS = 0.02
# With fewer on each side even the clearest ranking is within chance.
LEAST_ROUNDS = 4


def part(before, after):
    """How much longer it takes, as a part: 0.1 is a tenth more."""
    return statistics.median(after) / statistics.median(before) - 1


def verdict(before, after):
    """`slower`, `faster` or `same`."""
    if min(len(before), len(after)) < LEAST_ROUNDS:
        raise ValueError(f"{LEAST_ROUNDS} rounds of each side at least")
    change = part(before, after)
    if change > MATTERS and chance(before, after) <= CHANCE:
        return "slower"
    if change < -MATTERS and chance(after, before) <= CHANCE:
        return "faster"
    return "same"


def chance(low, high):
    """How likely it is that `high` ranks above `low` as clearly as it does, if nothing differs."""
    against = sum((one > other) + (one == other) / 2 for one in low for other in high)
    cases = [ways(len(low), len(high), inversions) for inversions in range(len(low) * len(high) + 1)]
    return sum(cases[:int(against + 0.5) + 1]) / sum(cases)


@functools.cache
def ways(one, other, inversions):
    """In how many orders of so many times of both sides so many pairs are the wrong way round."""
    if inversions < 0 or inversions > one * other:
        return 0
    if one == 0 or other == 0:
        return 1
    return ways(one - 1, other, inversions - other) + ways(one, other - 1, inversions)
