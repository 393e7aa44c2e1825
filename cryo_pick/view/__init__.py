"""A run in Neuroglancer: its tomogram, candidates with a score slider per class, truth, heatmap."""
