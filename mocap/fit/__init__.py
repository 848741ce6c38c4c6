"""Fit a body to the keypoints of a take: shape once, pose and place for every frame.

``terms`` says what a residual is; each ``*_term(s)`` file holds some. ``assemble`` chooses terms and their
strengths, ``problem`` sums them up, ``solver`` minimises, ``stage`` is the way in.
"""

from mocap.fit.problem import FitError
from mocap.fit.stage import fit
from mocap.fit.summary import FitSummary, PersonSummary

__all__ = ["FitError", "FitSummary", "PersonSummary", "fit"]
