"""The best threshold by trying every score, and its smoothed curve by sampling."""

import numpy as np

from tests.reference.czii_score import f_score, hits


def counts_at(threshold, runs, match_radius):
    """Counts tp, fp, fn of runs [(positions, scores, truth)] cut at a threshold."""
    tp = fp = fn = 0
    for positions, scores, truth in runs:
        kept = [p for p, s in zip(positions, scores, strict=True) if s >= threshold]
        n_hit = hits(kept, truth, match_radius)
        tp += n_hit
        fp += len(kept) - n_hit
        fn += len(truth) - n_hit
    return tp, fp, fn


def f_at(threshold, runs, match_radius, beta=4.0):
    """F-beta of runs cut at a threshold."""
    return f_score(*counts_at(threshold, runs, match_radius), beta)


def search(runs, match_radius, beta=4.0):
    """(threshold, f) with the highest F, the highest threshold among equals; None without any."""
    tried = {float(s) for _, scores, _ in runs for s in scores}
    best = None
    for threshold in sorted(tried, reverse=True):
        f = f_at(threshold, runs, match_radius, beta)
        if f > 0 and (best is None or f > best[1] + 1e-12):
            best = (threshold, f)
    return best


def sampled_mean(threshold, width, runs, match_radius, n_samples, beta=4.0):
    """Mean of F over a window of thresholds, by the midpoint rule."""
    at = threshold - width / 2 + width * (np.arange(n_samples) + 0.5) / n_samples
    return float(np.mean([f_at(t, runs, match_radius, beta) for t in at]))
