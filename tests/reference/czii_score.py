"""The official CZII score with plain loops over points as the vectors give them.

A solution or submission is {run: {class name: [[x, y, z], ...]}}. A class is scored if any run of
the solution names it, even with an empty list.
"""

import math

RADIUS = {
    "apo-ferritin": 60,
    "beta-amylase": 65,
    "beta-galactosidase": 90,
    "ribosome": 150,
    "thyroglobulin": 130,
    "virus-like-particle": 135,
}
WEIGHT = {
    "apo-ferritin": 1,
    "beta-amylase": 0,
    "beta-galactosidase": 2,
    "ribosome": 1,
    "thyroglobulin": 2,
    "virus-like-particle": 1,
}


def hits(picks, truth, match_radius):
    """How many true points have a pick within reach."""
    return sum(any(math.dist(p, t) <= match_radius for p in picks) for t in truth)


def class_counts(solution, submission, name):
    """Counts tp, fp, fn of one class over all runs of the solution."""
    tp = fp = fn = 0
    for run, truth_by_class in solution.items():
        truth = truth_by_class.get(name, [])
        picks = submission.get(run, {}).get(name, [])
        n_hit = hits(picks, truth, 0.5 * RADIUS[name])
        tp += n_hit
        fp += len(picks) - n_hit
        fn += len(truth) - n_hit
    return tp, fp, fn


def f_score(tp, fp, fn, beta=4.0):
    """F-beta by way of precision and recall."""
    precision = tp / (tp + fp) if tp + fp > 0 else 0.0
    recall = tp / (tp + fn) if tp + fn > 0 else 0.0
    if precision + recall == 0:
        return 0.0
    return (1 + beta**2) * precision * recall / (beta**2 * precision + recall)


def score(solution, submission, beta=4.0):
    """Weighted score and {class: (tp, fp, fn, f)} of the scored classes."""
    names = {name for truth in solution.values() for name in truth}
    per_class = {}
    for name in names:
        counts = class_counts(solution, submission, name)
        per_class[name] = (*counts, f_score(*counts, beta))
    total = sum(WEIGHT[name] * values[-1] for name, values in per_class.items())
    return total / sum(WEIGHT.values()), per_class
