"""Mocap Studio: footage from two or more ordinary cameras in, clean character animation out."""

__version__ = "0.1.0"
