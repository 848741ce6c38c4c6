"""Cameras and geometry: what they are, how they are calibrated, and other tools' files of them."""

from .cameras import CAMERA_MODELS, Cameras, ProjectionJacobian, Ray
from .errors import CalibrationError
from .names import match_names

__all__ = ["CAMERA_MODELS", "CalibrationError", "Cameras", "ProjectionJacobian", "Ray", "match_names"]
