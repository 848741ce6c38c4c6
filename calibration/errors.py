"""Errors of the calibration package."""


class CalibrationError(Exception):
    """Cameras, boards or calibration files that cannot be used; the message says what, where, what to do."""
