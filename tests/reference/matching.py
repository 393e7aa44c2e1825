"""One-to-one matching by trying every injection of the smaller side into the larger one."""

import itertools
import math


def best_matching(picks, truth, match_radius):
    """(number of pairs, total distance) of the largest, then shortest, one-to-one matching."""
    if len(picks) > len(truth):
        picks, truth = truth, picks
    best = (0, 0.0)
    for partners in itertools.permutations(range(len(truth)), len(picks)):
        distances = [math.dist(p, truth[j]) for p, j in zip(picks, partners, strict=True)]
        near = [d for d in distances if d <= match_radius]
        found = (len(near), sum(near))
        if (-found[0], found[1]) < (-best[0], best[1]):
            best = found
    return best
