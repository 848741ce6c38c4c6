"""Other tools' calibration files, one format per file."""
