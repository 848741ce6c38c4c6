"""Cameras and geometry: what they are, how they are calibrated, and other tools' files of them."""
