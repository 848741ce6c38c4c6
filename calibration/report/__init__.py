"""The report of a calibration, for programs and for people."""
