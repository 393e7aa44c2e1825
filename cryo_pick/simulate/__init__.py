"""Simulated tomograms with exact truth: molecules, ice, microscope, reconstruction, project."""
