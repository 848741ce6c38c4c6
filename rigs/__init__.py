"""Skeletons, bodies and their motion."""
