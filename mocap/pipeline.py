"""The story on one page: what each command does, in order, and what it may skip.

    calibrate    board clips                       -> cameras.toml
    detect       clips                             -> keypoints/<camera>.npz
    sync         clips, keypoints, cameras         -> sync.json
    search       clips, keypoints, cameras, clocks -> found/<camera>.npz
    reconstruct  keypoints, cameras, clocks        -> points.npz, the cameras used
    fit          points, body                      -> motion/<person>.npz
    export       motion                            -> export/<person>.<format>
    report       all of it                         -> report.json, overlay.png

Who is who is decided over the whole take, from the keypoints of all views, by geometry alone. A detector
drops one of two people who stand close; so ``search`` decides it a first time, looks again in every clip
where the other views' 3D has somebody whom that view lacks, and keeps what it sees there if it is where that
person should be and nobody else's. The detector's own keypoints stay as they are. ``reconstruct`` decides
anew with both, hears what the user says in ``people.toml`` (tracks that are one person, cuts, actors), and
solves for the points. An edit of that file makes ``reconstruct`` and what follows stale, nothing before.

A stage is skipped when its results were made from the same inputs and settings, redone when they are
stale, and leaves alone what came from elsewhere. A take may begin at any stage: the files of the
earlier ones need not exist, and clocks that nobody told are looked for.

Clocks and people help each other, in this order. Detection needs no clock. ``sync`` takes a first guess from
the clips (timecode, sound), finds each camera's shift from people whose viewing rays meet, whoever they
are, and refines offsets and drifts on the people who then belong together; a camera whose people fit at no
shift is left out of all that follows, and ``sync.json`` says why. Association and reconstruction take the
clocks as they are. Offsets that are told in ``session.toml``, and a ``sync.json`` that somebody edited, are
revised by nothing. ``mocap sync`` before detection goes by the clips alone; once there are keypoints it is
stale and made again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from mocap import camera_stages, take_stages
from mocap.errors import InputError
from mocap.outcome import Outcome
from mocap.progress import Progress, silent
from mocap.session import Session
from mocap.settings import Settings, with_overrides
from mocap.take import Take
from mocap.take_check import check_startable, check_take

STAGES: dict[str, Callable[[Take, Settings, Progress], Outcome]] = {
    "detect": take_stages.detect,
    "sync": take_stages.sync,
    "search": take_stages.search,
    "reconstruct": take_stages.reconstruct,
    "fit": take_stages.fit,
    "export": take_stages.export,
    "report": take_stages.report,
}
"""The stages of a take, in order."""


def run(
    root: Path, *, take: str | None = None, overrides: Iterable[str] = (), progress: Progress = silent
) -> Outcome:
    """Every missing or stale stage of every take, to the exports.

    Args:
        root: the session's folder.
        take: only this take.
        overrides: settings as ``section.key=value``, over those of ``session.toml``.
        progress: told of long work.

    Raises:
        MocapError: what is wrong, where, and what to do.
    """
    session = Session.open(root)
    settings = with_overrides(session.load_settings(), overrides)
    takes = session.takes(take)
    outcome = Outcome()
    if session.clips("extrinsics"):
        outcome += camera_stages.calibrate_from_board(session, settings, progress)
        if not outcome.usable:
            return outcome
    for one in takes:
        check_take(one)
    for one in takes:
        for stage in STAGES.values():
            outcome += stage(one, settings, progress)
    return outcome


def run_stage(
    stage: str,
    root: Path,
    *,
    take: str | None = None,
    overrides: Iterable[str] = (),
    progress: Progress = silent,
) -> Outcome:
    """One stage of every take, or of the one that is named.

    Reconstruction brings clocks and search up to date first: its points depend on both.
    """
    session = Session.open(root)
    settings = with_overrides(session.load_settings(), overrides)
    outcome = Outcome()
    for one in session.takes(take):
        check_take(one)
        check_startable(one, stage)
        for needed in ("sync", "search") if stage == "reconstruct" else ():
            outcome += STAGES[needed](one, settings, progress)
        outcome += STAGES[stage](one, settings, progress)
    return outcome


def calibrate(
    root: Path,
    *,
    from_take: str | None = None,
    refine_from: str | None = None,
    height_m: float | None = None,
    overrides: Iterable[str] = (),
    progress: Progress = silent,
) -> Outcome:
    """Calibrate the cameras; ``usable`` is False when the result must not be trusted.

    Args:
        root: the session's folder.
        from_take: use the people of this take instead of board clips.
        refine_from: correct the cameras that are there by the people of this take.
        height_m: with ``from_take``: stature of the person who is seen most, metres; it sets the scale.
        overrides: settings as ``section.key=value``, over those of ``session.toml``.
        progress: told of long work.

    Raises:
        MocapError: what is wrong, where, and what to do.
    """
    session = Session.open(root)
    settings = with_overrides(session.load_settings(), overrides)
    if from_take and refine_from:
        raise InputError("cameras are either found from a take or refined from one", todo="choose one")
    if height_m is not None and not from_take:
        raise InputError("a height says nothing about a board", todo="use it with --from-take")
    if from_take:
        (take,) = session.takes(from_take)
        return camera_stages.calibrate_from_people(session, take, settings, height_m, progress)
    if refine_from:
        (take,) = session.takes(refine_from)
        return camera_stages.refine_from_take(session, take, settings, progress)
    if not session.clips("extrinsics"):
        raise InputError(
            "no board clips",
            where=session.clips_folder("extrinsics"),
            todo="put one clip of the moving board for each camera there: <camera>.mp4, or calibrate from "
            "people with --from-take",
        )
    return camera_stages.calibrate_from_board(session, settings, progress)
