"""Calibration boards: what they look like, how they are printed, and where images have their corners."""
