"""Lenses: how they bend the image, which coefficients one may have, and how they are found."""
