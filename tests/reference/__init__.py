"""Slow, obvious re-implementations, used as oracles."""
