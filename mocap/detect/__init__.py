"""2D keypoint detectors, one file per family."""

from __future__ import annotations

from mocap.detect.blazepose import BlazePoseFamily
from mocap.detect.detector import Detections, Detector, DetectorFamily, TrackerState
from mocap.detect.families import FAMILIES
from mocap.detect.network_family import NetworkFamily
from mocap.detect.stage import DetectSummary, detect

__all__ = ["DETECTORS", "DetectSummary", "Detections", "Detector", "DetectorFamily", "TrackerState", "detect"]

DETECTORS: dict[str, DetectorFamily] = {
    "blazepose": BlazePoseFamily(),
    **{name: NetworkFamily(name) for name, family in FAMILIES.items() if family.finds_poses},
}
"""Families of detectors by the name that ``detect.detector`` gives."""
