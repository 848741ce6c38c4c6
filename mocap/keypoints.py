"""Keypoints as the stages hand them on: in one camera's image, and in the world."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.floating]


@dataclass(frozen=True)
class CameraKeypoints:
    """What a detector saw in one camera's clip; the content of ``keypoints/<camera>.npz``."""

    time_s: FloatArray
    """(F,) presentation times on the camera's own clock, seconds since the clip's first frame."""
    xy_px: FloatArray
    """(F, P, K, 2) pixels, integer = pixel centre; P is the most people in a frame, NaN where fewer."""
    score: FloatArray
    """(F, P, K) confidence in [0, 1], NaN where there is no person."""
    keypoint_names: tuple[str, ...]
    """K names, lower case with underscores."""
    size_px: tuple[int, int]
    """Width and height of the image."""

    def __post_init__(self) -> None:
        frames, people, keypoints = self.xy_px.shape[:3]
        if self.xy_px.shape != (frames, people, keypoints, 2):
            raise ValueError(f"xy_px must be (F, P, K, 2), not {self.xy_px.shape}")
        if self.score.shape != (frames, people, keypoints):
            raise ValueError(f"score must be {(frames, people, keypoints)}, not {self.score.shape}")
        if self.time_s.shape != (frames,):
            raise ValueError(f"time_s must be {(frames,)}, not {self.time_s.shape}")
        if len(self.keypoint_names) != keypoints:
            raise ValueError(f"{len(self.keypoint_names)} keypoint names for {keypoints} keypoints")

    def and_also(self, other: CameraKeypoints) -> CameraKeypoints:
        """The same frames with further people; those of other frames or keypoints are of no use."""
        if other.keypoint_names != self.keypoint_names or len(other.time_s) != len(self.time_s):
            return self
        xy_px = np.concatenate([self.xy_px, other.xy_px], 1)
        return replace(self, xy_px=xy_px, score=np.concatenate([self.score, other.score], 1))


@dataclass(frozen=True)
class Keypoints3D:
    """Keypoints of all people in the world; the content of ``points.npz``."""

    time_s: FloatArray
    """(T,) seconds on the take's clock."""
    person: NDArray[np.integer]
    """(P,) the number of each person."""
    keypoint_names: tuple[str, ...]
    """K names."""
    xyz_world: FloatArray
    """(T, P, K, 3) metres, world frame; NaN where unknown."""
    covariance: FloatArray
    """(T, P, K, 3, 3) metres², NaN where unknown."""
    error_px: FloatArray
    """(T, P, K) root mean square reprojection error over the views used."""
    num_views: NDArray[np.integer]
    """(T, P, K) how many views the point rests on; 0 where there is none."""

    def at(self, frames: slice) -> Keypoints3D:
        """Some frames of the same people."""
        return replace(
            self,
            time_s=self.time_s[frames],
            xyz_world=self.xyz_world[frames],
            covariance=self.covariance[frames],
            error_px=self.error_px[frames],
            num_views=self.num_views[frames],
        )

    def __post_init__(self) -> None:
        shape = (len(self.time_s), len(self.person), len(self.keypoint_names))
        for name, tail in (("xyz_world", (3,)), ("covariance", (3, 3)), ("error_px", ()), ("num_views", ())):
            seen = getattr(self, name).shape
            if seen != shape + tail:
                raise ValueError(f"{name} must be {shape + tail}, not {seen}")
