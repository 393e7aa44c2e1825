"""Stage 1: a dense network that turns a tomogram into one heatmap per class, and its candidates."""
