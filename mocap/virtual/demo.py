"""The demo: film a performance in the virtual studio, run the ordinary chain, compare with the truth."""

from __future__ import annotations

import io
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mocap import files, pipeline
from mocap.errors import InputError
from mocap.progress import Progress, silent
from mocap.session import Session
from mocap.settings import BoardSettings, Settings
from mocap.virtual.board_path import BoardSession
from mocap.virtual.compare import Figure, compare_session
from mocap.virtual.film import film, write_truth
from mocap.virtual.performer import Performer
from mocap.virtual.rig import ring_of
from mocap.virtual.studio import Studio, demo_board

TAKE = "take1"
SIZE_PX = (1280, 720)
_FORMAT = "mocap-studio demo"


@dataclass(frozen=True)
class DemoSummary:
    """What the demo found."""

    figures: tuple[Figure, ...]
    """Differences from the truth, with the limits that make it pass."""
    picture: Path
    """The sheet that shows it."""
    results: tuple[Path, ...]
    """The files for other programs."""

    @property
    def passed(self) -> bool:
        """Whether every figure is within its limit."""
        return all(figure.passed for figure in self.figures)

    def report(self) -> dict[str, Any]:
        """The summary as plain data, without paths or times: the same in every run on one machine."""
        return {
            "passed": self.passed,
            "figures": [vars(figure) | {"passed": figure.passed} for figure in self.figures],
            "files": [path.name for path in self.results],
        }

    def text(self) -> str:
        """The summary for people."""
        lines = ["Compared with the truth (no alignment, the board's own frame):"]
        for figure in self.figures:
            limit = "" if figure.limit is None else f"  at most {figure.limit:g}"
            verdict = "" if figure.limit is None else ("  ok" if figure.passed else "  FAILED")
            lines.append(f"  {figure.name:<44} {figure.value:9.3f} {figure.unit:<3}{limit}{verdict}")
        lines += [f"  {path}" for path in (*self.results, self.picture)]
        return "\n".join(lines)


def demo_studio(
    *, cameras: int = 4, seconds: float = 5.0, seed: int = 0, size_px: tuple[int, int] = SIZE_PX
) -> Studio:
    """What the demo films; the lenses show the same at any size of the pictures."""
    return Studio(
        ring=ring_of(cameras, size_px=size_px, seed=seed),
        board=BoardSession(board=demo_board(), seconds=6.0 * cameras, seed=seed),
        performers=(Performer(seed=seed),),
        seconds=seconds,
        seed=seed,
    )


def render_session(
    folder: Path,
    *,
    cameras: int = 4,
    seconds: float = 5.0,
    seed: int = 0,
    size_px: tuple[int, int] = SIZE_PX,
    progress: Progress = silent,
) -> Session:
    """Film a board and a performance into a new session; a run that was stopped goes on when called again.

    Args:
        folder: becomes the session, with the truth in ``truth/``; the chain never looks there.
        cameras: how many film.
        seconds: length of the performance.
        seed: of everything that is random.
        size_px: width and height of the pictures.
        progress: told of the frames.

    Returns:
        The truth, laid out like a session.

    Raises:
        InputError: too little to film, or the folder holds something else, or a demo with other settings.
    """
    if cameras < 2 or seconds < 0.5:
        raise InputError(
            f"{cameras} cameras and {seconds:g} s are too few",
            todo="take two cameras and half a second or more",
        )
    studio = demo_studio(cameras=cameras, seconds=seconds, seed=seed, size_px=size_px)
    wanted = {"cameras": cameras, "seconds": float(seconds), "seed": seed, "size_px": list(size_px)}
    return film_session(folder, studio, wanted, progress=progress)


def film_session(
    folder: Path, studio: Studio, made_of: dict[str, Any], *, progress: Progress = silent
) -> Session:
    """Film what a studio shows into a new session; a run that was stopped goes on when called again.

    Args:
        folder: becomes the session, with the truth in ``truth/``; the chain never looks there.
        studio: what to film.
        made_of: plain data that tells this footage from other footage; kept beside the truth.
        progress: told of the frames.

    Returns:
        The truth, laid out like a session.

    Raises:
        InputError: the folder holds something else, or other footage.
    """
    session = _session(folder, studio, made_of)
    film(studio, session, take=TAKE, progress=progress)
    return write_truth(studio, folder / "truth", take=TAKE)


def demo(
    folder: Path, *, cameras: int = 4, seconds: float = 5.0, seed: int = 0, progress: Progress = silent
) -> DemoSummary:
    """Film, run the chain, compare. A run that was stopped goes on where it was when called again.

    Arguments and errors are those of ``render_session``.
    """
    truth = render_session(folder, cameras=cameras, seconds=seconds, seed=seed, progress=progress)
    session = Session.open(folder)
    outcome = pipeline.run(folder, progress=progress)
    if not outcome.usable:
        raise InputError("the calibration failed", where=session.calibration_report_file)
    figures = tuple(compare_session(session, truth, TAKE, rig=Settings().export.rig))
    summary = DemoSummary(figures, folder / "demo.png", tuple(session.take(TAKE).export_files()))
    files.write_json(folder / "demo.json", _FORMAT, 1, summary.report())
    files.write_atomic(summary.picture, demo_picture(session, truth, summary))
    return summary


def _session(folder: Path, studio: Studio, wanted: dict[str, Any]) -> Session:
    """The demo's session: a new one, or the one of an earlier run with the same settings."""
    made_of = folder / "truth" / "demo.json"
    if (folder / "session.toml").is_file():
        known = files.read_json(made_of, _FORMAT, 1) if made_of.is_file() else {}
        if any(known.get(key) != value for key, value in wanted.items()):
            raise InputError("holds another session or demo", where=folder, todo="choose another folder")
        return Session.open(folder)
    board = studio.board.board
    named = BoardSettings(**{name: getattr(board, name) for name in vars(BoardSettings())})
    files.write_json(made_of, _FORMAT, 1, wanted)  # first: a session without it is somebody else's
    return Session.create(folder, takes=(TAKE,), settings=replace(Settings(), board=named))


def demo_picture(session: Session, truth: Session, summary: DemoSummary) -> bytes:
    """PNG: each view with what was detected and fitted over it, the result in 3D, and the figures."""
    from mocap.overlay import take_sheet

    found = {figure.name: figure for figure in summary.figures}

    def said(name: str, label: str) -> str:
        figure = found.get(name)
        return f"{label} {figure.value:.3g} {figure.unit}" if figure else f"{label} -"

    notes = (
        "Lines and dots: what the detector saw in this view (blue left, orange right). "
        "Pink: the body fitted to all views.",
        "Against the truth:  "
        + "   ".join(
            (
                said("camera centre, worst", "cameras"),
                said("camera rotation, worst", "and"),
                said("2D keypoints of the limbs, median", "2D keypoints"),
                said("limb joints, mean", "3D limb joints"),
                said("bone lengths of the limbs, mean", "bones"),
                said("BVH read back, worst joint", "BVH"),
            )
        ),
    )
    sheet = take_sheet(
        session.take(TAKE),
        title="Mocap Studio: from rendered footage to motion",
        notes=notes,
        true_motion=truth.take(TAKE).load_motion("person1"),
    )
    if sheet is None:
        raise InputError("no motion was found, so there is nothing to show", where=session.take(TAKE).folder)
    stream = io.BytesIO()
    sheet.save(stream, "PNG", optimize=True)
    return stream.getvalue()
