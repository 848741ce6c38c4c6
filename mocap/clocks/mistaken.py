"""What may have happened to a camera that fits no other: footage exchanged with another's, or mirrored.

Each such mistake is undone on trial; where that makes the camera's people meet those of the cameras that
agree, it is what happened. Only whole mistakes are tried, one camera mirrored or two exchanged at a time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

from calibration.cameras import Cameras
from mocap.clocks.coarse import Rays, all_agreements, rays_of
from mocap.clocks.placing import CLEAR, Placed, best_offset, place
from mocap.keypoints import CameraKeypoints
from mocap.sides import mirror

_BETTER = 0.15
"""Agreement that a mistake, undone, must add."""
_MOST_CAMERAS = 4
"""Of so many at most, none of which agree, every mistake is tried: of more, some would agree."""


@dataclass(frozen=True)
class Trial:
    """The footage of a take with one mistake undone."""

    told: str
    """What the mistake was."""
    names: tuple[str, ...]
    """The cameras that it concerns."""
    rays: Mapping[str, Rays]
    """What those cameras saw in truth."""


def mistakes(
    keypoints: Mapping[str, CameraKeypoints],
    cameras: Cameras,
    which: Sequence[str],
    seen: Mapping[str, Rays],
    placed: Placed,
    guess_s: Mapping[str, float],
    reach_s: float,
) -> dict[str, str]:
    """Why cameras fit no other, as far as undoing one mistake makes them fit.

    Args:
        keypoints: what each camera saw.
        cameras: the calibrated ones.
        which: names of the keypoints that are compared.
        seen: viewing rays of those cameras that saw anybody.
        placed: the cameras that agree, and how well the others do.
        guess_s: first guesses of the offsets, seconds.
        reach_s: how far from them offsets are looked for.

    Returns:
        By camera what happened, as a sentence; nothing for cameras that no trial explains.
    """
    strangers = [name for name in seen if name not in placed.offset_s]
    if placed.offset_s:
        told: dict[str, str] = {}
        for trial in _trials(keypoints, cameras, which, strangers):
            fits = [_agreement(name, trial, seen, placed, guess_s, reach_s) for name in trial.names]
            before = max(placed.agreement[name] for name in trial.names)
            if min(fits) > max(CLEAR, before + _BETTER):
                told |= dict.fromkeys(
                    trial.names, f"{trial.told} (agreement {before:.2f}, so {min(fits):.2f})"
                )
        return told
    if not 2 <= len(strangers) <= _MOST_CAMERAS:
        return {}
    best: tuple[float, Trial] | None = None
    for trial in _trials(keypoints, cameras, which, strangers):
        found = place(list(seen), all_agreements({**seen, **trial.rays}, guess_s, reach_s), guess_s)
        fit = min(found.agreement.values())
        if len(found.offset_s) == len(seen) and fit > CLEAR and (best is None or fit > best[0]):
            best = fit, trial
    return {} if best is None else dict.fromkeys(best[1].names, f"{best[1].told} (agreement {best[0]:.2f})")


def _trials(
    keypoints: Mapping[str, CameraKeypoints], cameras: Cameras, which: Sequence[str], names: Sequence[str]
) -> list[Trial]:
    """Every mistake that may concern some cameras alone."""

    def rays(view: CameraKeypoints, camera: str) -> Rays:
        return rays_of(view, cameras[camera], [view.keypoint_names.index(one) for one in which])

    trials = [
        Trial("its picture is mirrored: turn mirroring off, or flip the clip", (name,),
              {name: rays(_mirrored(keypoints[name]), name)})
        for name in names
    ]  # fmt: skip
    for a, b in combinations(names, 2):
        if keypoints[a].size_px == keypoints[b].size_px:
            exchanged = {a: rays(keypoints[b], a), b: rays(keypoints[a], b)}
            trials.append(
                Trial(f"the footage of {a} and {b} is exchanged: exchange their names", (a, b), exchanged)
            )
    return trials


def _mirrored(view: CameraKeypoints) -> CameraKeypoints:
    """What the camera would have seen had its picture not been mirrored."""
    order = mirror(view.keypoint_names)
    xy_px = view.xy_px[:, :, order] * [-1.0, 1.0] + [view.size_px[0] - 1.0, 0.0]
    return replace(view, xy_px=xy_px, score=view.score[:, :, order])


def _agreement(
    name: str,
    trial: Trial,
    seen: Mapping[str, Rays],
    placed: Placed,
    guess_s: Mapping[str, float],
    reach_s: float,
) -> float:
    """How well a camera agrees with those in place once the mistake is undone."""
    pairs = {}
    for other in placed.offset_s:
        pairs |= all_agreements({other: seen[other], name: trial.rays[name]}, guess_s, reach_s)
    return best_offset(name, placed.offset_s, pairs, guess_s)[1]
