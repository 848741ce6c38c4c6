"""The stage of the rig: footage of a board, or of the performers, to calibrated cameras."""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mocap import cameras_file, take_stages
from mocap.errors import InputError
from mocap.files import plain
from mocap.outcome import Outcome, unless_fresh
from mocap.progress import Progress
from mocap.session import Session
from mocap.settings import Settings
from mocap.stages import Stage, State
from mocap.take import Take

if TYPE_CHECKING:
    from calibration import Cameras

_SAME_RIG = 0.01
"""Distances between cameras that differ by less are those of one calibration, its scale set later or not."""
_STD = ("pose_std_m", "turn_std_deg")
_REAL = 2.5
"""How many times further apart calibrations of one real rig lie than their standard deviations say."""
_log = logging.getLogger(__name__)


def calibrate_from_board(session: Session, settings: Settings, progress: Progress) -> Outcome:
    """Cameras from the board clips; a result that must not be trusted replaces nothing."""
    from mocap.calibrate import calibrate as solve
    from mocap.video import open_clip
    from mocap.world import place

    intrinsics, extrinsics = session.clips("intrinsics"), session.clips("extrinsics")
    for name in sorted(set(intrinsics) - set(extrinsics)):
        _log.warning(
            "%s: no clip of this name in calibration/extrinsics, so it is not used", intrinsics[name]
        )
    older = session.root / settings.world.align if settings.world.align else None
    stage = Stage(
        "calibrate",
        {f"intrinsics/{name}": path for name, path in intrinsics.items()}
        | {f"extrinsics/{name}": path for name, path in extrinsics.items()}
        | ({"align": older} if older and older.is_file() else {}),
        {key: vars(getattr(settings, key)) for key in ("board", "calibrate", "world")},
        lambda: [path for path in (session.cameras_file,) if path.is_file()],
    )

    # An unfinished run leaves cameras of its own, which tell nothing of an older rig.
    stored = session.load_cameras() if session.record.state(stage) is State.STALE else None

    def work() -> Outcome:
        cameras, summary = solve(
            {name: open_clip(path) for name, path in intrinsics.items()},
            {name: open_clip(path) for name, path in extrinsics.items()},
            board=settings.board,
            settings=settings.calibrate,
            stored=stored,
            distances_m=settings.world.distances_m,
            progress=progress,
        )
        report = summary.report()
        if summary.usable:
            cameras, told = place(cameras, settings.world, cameras_file.load(older) if older else None)
            report |= {"world": plain(told)} if told else {}
            session.save_cameras(cameras, {"error": summary.rms_px, "adjusted": True})
        session.save_calibration_report(report, summary.page)
        return Outcome(summary={"calibrate": report}, usable=summary.usable)

    return unless_fresh(session.record, stage, "calibrate", work)


def calibrate_from_people(
    session: Session, take: Take, settings: Settings, height_m: float | None, progress: Progress
) -> Outcome:
    """Cameras and clocks from the people of a take, without a board; lenses of ``cameras.toml`` are kept."""
    from mocap.calibrate_people import calibrate_from_take
    from mocap.threads import one_thread
    from mocap.world import between

    outcome, keypoints = _keypoints(take, settings, progress)
    lenses = session.load_cameras() if session.cameras_file.is_file() else None
    clock = take.load_clock() if take.sync_file.is_file() else None
    distance = None
    for pair, tape_m in settings.world.distances_m.items():
        distance = (*between(pair, tuple(keypoints)), tape_m)
        break
    with one_thread():
        cameras, found, summary = calibrate_from_take(
            keypoints, lenses=lenses, clock=clock, height_m=height_m, distance=distance, progress=progress
        )
    report = summary.report() | {"from_take": take.name}
    session.save_calibration_report(report)
    if summary.usable:
        _keep_older(session)
        session.save_cameras(cameras, {"adjusted": True, "from": f"people of {take.name}"})
        if clock is None:
            take.save_clock(found)
    return outcome + Outcome(
        done=(f"calibrate from {take.name}",), summary={"calibrate": report}, usable=summary.usable
    )


def refine_from_take(session: Session, take: Take, settings: Settings, progress: Progress) -> Outcome:
    """Correct the cameras from the people of a take, where that makes held-out views clearly better."""
    from mocap.refine_cameras import refine_from_take as solve
    from mocap.threads import one_thread

    outcome, keypoints = _keypoints(take, settings, progress)
    if not take.sync_file.is_file():
        outcome += take_stages.sync(take, settings, progress)
    progress("refine cameras", 0, 1)
    cameras = session.load_cameras()
    with one_thread():
        refined = solve(
            cameras,
            keypoints,
            take.load_clock(),
            settings=settings.reconstruct,
            pose_std=_pose_std(session, cameras),
        )
    progress("refine cameras", 1, 1)
    summary = refined.summary
    report = plain(dataclasses.asdict(summary)) | {"from_take": take.name}
    if summary.changed:
        _keep_older(session)
        session.save_cameras(refined.cameras, {"adjusted": True, "from": f"refined by {take.name}"})
    if refined.after is not None:
        later = session.cameras_file.with_name(f"cameras_after_{take.name}.toml")
        cameras_file.save(later, refined.after, {"adjusted": True, "from": f"end of {take.name}"})
        report["after"] = str(later)
    return outcome + Outcome(
        done=(f"refine cameras from {take.name}",), summary={"refine": report}, usable=summary.usable
    )


def _pose_std(session: Session, cameras: Cameras) -> tuple[dict[str, float], dict[str, float]] | None:
    """What the board calibration says of its cameras, metres and degrees; None for cameras from elsewhere."""
    import torch

    places = session.load_calibration_report().get("places", {})
    known = [places.get(name, {}) for name in cameras.names]
    if not all(isinstance(place.get(key), float) for place in known for key in _STD):
        return None
    told = torch.tensor([place["position_m"] for place in known], dtype=torch.float64)
    # The world may have been moved since; how the cameras stand to each other has not.
    apart, then = torch.pdist(cameras.centers_world), torch.pdist(told)
    if not torch.allclose(apart, then, rtol=_SAME_RIG, atol=0.0):
        return None
    metres, degrees = (
        {name: _REAL * place[key] for name, place in zip(cameras.names, known, strict=True)} for key in _STD
    )
    return metres, degrees


def _keypoints(take: Take, settings: Settings, progress: Progress) -> tuple[Outcome, dict[str, Any]]:
    """What each camera of a take saw, detected now where that is due."""
    outcome = take_stages.detect(take, settings, progress)
    keypoints = {name: take.load_keypoints(name) for name in take.keypoints_files()}
    if len(keypoints) < 2:
        raise InputError(
            f"a take with {len(keypoints)} cameras", where=take.folder, todo="two cameras at least are needed"
        )
    return outcome, keypoints


def _keep_older(session: Session) -> Path | None:
    """Keep a copy of the cameras that are about to be replaced: they may be all that is left of a session."""
    if not session.cameras_file.is_file():
        return None
    for number in range(1, 1000):
        copy = session.cameras_file.with_name(f"cameras_before_{number}.toml")
        if not copy.exists():
            cameras_file.save(copy, session.load_cameras(), {})
            return copy
    raise InputError("too many older cameras", where=session.root, todo="delete some cameras_before_*.toml")
