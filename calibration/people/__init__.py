"""Cameras from people who walk through the volume, without a board."""
