"""The stage of the rig: footage of a board, or of the performers, to calibrated cameras."""

from __future__ import annotations

import logging

from mocap.outcome import Outcome, unless_fresh
from mocap.progress import Progress
from mocap.session import Session
from mocap.settings import Settings
from mocap.stages import Stage

_log = logging.getLogger(__name__)


def calibrate_from_board(session: Session, settings: Settings, progress: Progress) -> Outcome:
    """Cameras from the board clips; a result that must not be trusted replaces nothing."""
    from mocap.calibrate import calibrate as solve
    from mocap.video import open_clip

    intrinsics, extrinsics = session.clips("intrinsics"), session.clips("extrinsics")
    for name in sorted(set(intrinsics) - set(extrinsics)):
        _log.warning(
            "%s: no clip of this name in calibration/extrinsics, so it is not used", intrinsics[name]
        )
    stage = Stage(
        "calibrate",
        {f"intrinsics/{name}": path for name, path in intrinsics.items()}
        | {f"extrinsics/{name}": path for name, path in extrinsics.items()},
        {"board": vars(settings.board), "calibrate": vars(settings.calibrate)},
        lambda: [path for path in (session.cameras_file,) if path.is_file()],
    )

    def work() -> Outcome:
        cameras, summary = solve(
            {name: open_clip(path) for name, path in intrinsics.items()},
            {name: open_clip(path) for name, path in extrinsics.items()},
            board=settings.board,
            settings=settings.calibrate,
            progress=progress,
        )
        report = summary.report()
        session.save_calibration_report(report)
        if summary.usable:
            session.save_cameras(cameras, {"error": summary.rms_px, "adjusted": True})
        return Outcome(summary={"calibrate": report}, usable=summary.usable)

    return unless_fresh(session.record, stage, "calibrate", work)
