"""The virtual studio: multi-camera footage with exact truth."""
