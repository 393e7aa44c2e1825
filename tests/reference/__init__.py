"""Slow, obvious re-implementations, used as oracles, and a browser to look at pages with."""
