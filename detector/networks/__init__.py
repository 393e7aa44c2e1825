"""Dense networks: one file each, with `build(n_classes, **params)` and an `OUTPUT_STRIDE`."""
