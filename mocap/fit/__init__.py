"""Fit a body to the keypoints of a take."""
