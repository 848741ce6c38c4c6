"""Cameras and geometry: what they are, how they are calibrated, and other tools' files of them."""

from .cameras import CAMERA_MODELS, Cameras, ProjectionJacobian, Ray
from .errors import CalibrationError

__all__ = ["CAMERA_MODELS", "CalibrationError", "Cameras", "ProjectionJacobian", "Ray"]
