"""Patch networks: one file each, with `build(n_classes, **params)`."""
