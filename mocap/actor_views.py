"""What the cameras saw of a take's people, put together from the files of the take."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from calibration.cameras import Cameras
from mocap.evidence import Evidence, evidence
from mocap.keypoints import Keypoints3D
from mocap.observations import Observations
from mocap.people.person import Person
from mocap.people.wishes import load_wishes
from mocap.reconstruct import observe
from mocap.settings import ReconstructSettings
from mocap.take import Take


@dataclass(frozen=True)
class ActorViews:
    """The footage's side of a take."""

    cameras: Cameras
    """The C cameras."""
    observations: Observations
    """(T, C, P, K) at the take's instants."""
    people: tuple[Person, ...]
    """(P,) who they are."""
    notes: tuple[str, ...]
    """Who else was seen, and why they were left out."""


def actor_views(take: Take, settings: ReconstructSettings) -> ActorViews | None:
    """What the cameras saw of everybody, or None where the take has no keypoints, cameras or clocks."""
    views = take.load_views()
    if not (views and take.cameras_file.is_file() and take.sync_file.is_file()):
        return None
    cameras = take.load_cameras()[list(views)]
    wishes = load_wishes(take.people_file)
    observations, association = observe(views, cameras, take.load_clock(), settings=settings, wishes=wishes)
    return ActorViews(cameras, observations, association.people, association.notes)


def evidence_for(
    views: ActorViews | None, points: Keypoints3D, settings: ReconstructSettings
) -> dict[int, Evidence]:
    """The pixels behind each person's points; of nobody where the points were made from other keypoints."""
    if views is None:
        return {}
    seen = views.observations
    same = (
        tuple(seen.keypoint_names) == tuple(points.keypoint_names)
        and seen.xy_px.shape[2] == len(points.person)
        and len(seen.time_s) == len(points.time_s)
        and bool(np.allclose(seen.time_s, points.time_s, rtol=0.0, atol=1e-6))
    )
    if not same:
        return {}
    return {
        int(person): evidence(seen, views.cameras, points, row, settings)
        for row, person in enumerate(points.person)
    }
