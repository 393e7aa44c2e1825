"""Losses of the detector: one file each, with `build(**params)`.

What it returns is called as ``loss(output, target, annotated)``; `annotated`, (b, k) of 0 and 1 or
None, leaves classes out that a sample's run knows nothing of. `OUTPUT` says what kind of output of
a network the loss is for: heatmap, probabilities (of a softmax with background) or points.
"""
