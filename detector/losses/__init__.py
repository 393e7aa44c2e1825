"""Losses of the detector: one file each, with `build(**params)` giving `loss(output, target)`."""
