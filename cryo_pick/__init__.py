"""What the detector and the refiner share, and the command that joins them."""

__version__ = "0.1.0"
