"""What may be wrong with a calibration: numbers with limits, and what to do about each."""
