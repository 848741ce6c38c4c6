"""Takes without a body: animals, props and wands are triangulated and exported as points."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from mocap.keypoints import Keypoints3D

if TYPE_CHECKING:
    from exporters.points import PointSet
    from mocap.take import Take


def no_body(take: Take) -> str | None:
    """Why the take's points get no body, None where they are a person's, or there are none."""
    from rigs.keypoints import is_person

    if not take.points_file.is_file():
        return None
    names = take.load_points().keypoint_names
    return None if is_person(names) else _reason(names)


def _reason(names: Sequence[str]) -> str:
    some = ", ".join(names[:4]) + (" …" if len(names) > 4 else "")
    return f"no body is fitted: the keypoints ({some}) are no person's, and go out as points"


def point_sets(points: Keypoints3D) -> list[PointSet]:
    """The points of a take as exporters want them, a set for each animal or thing that was seen."""
    from exporters.points import PointSet

    rate_hz = 1 / float(np.median(np.diff(points.time_s))) if len(points.time_s) > 1 else 1.0
    variance = np.trace(points.covariance, axis1=-2, axis2=-1) / 3
    seen = np.asarray(np.isfinite(points.xyz_world)).any((0, 2, 3))
    return [
        PointSet(
            f"points{person + 1}",
            points.keypoint_names,
            points.time_s.astype(np.float64),
            points.xyz_world[:, row].astype(np.float64),
            np.sqrt(variance[:, row]),
            rate_hz,
        )
        for row, person in enumerate(points.person.tolist())
        if seen[row]
    ]
