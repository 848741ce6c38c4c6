"""Commands that are no stages: the printed board, and other tools' camera files."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mocap import files
from mocap.errors import InputError
from mocap.session import Session
from mocap.settings import Settings, with_overrides

if TYPE_CHECKING:
    from torch import Tensor


def board(
    out: Path,
    *,
    session: Path | None = None,
    page: str = "A4",
    overlap_mm: float = 8.0,
    overrides: Iterable[str] = (),
) -> dict[str, Any]:
    """Write a printable board, true to scale, as a PDF.

    Args:
        out: the file to write; an existing one is replaced.
        session: take the board from this session's settings.
        page: A4, A3 or letter; a board that is larger is tiled over several pages.
        overlap_mm: width of the strips that such pages share, to be glued.
        overrides: settings as ``board.key=value``.
    """
    from calibration.boards.board import Board
    from calibration.boards.printing import board_pdf

    settings = Session.open(session).load_settings() if session else Settings()
    wanted = with_overrides(settings, overrides).board
    files.write_atomic(out, board_pdf(Board(**vars(wanted)), page, overlap_mm=overlap_mm))
    return {"file": str(out), **vars(wanted)}


def cameras(
    source: Path,
    target: Path | None = None,
    *,
    source_format: str | None = None,
    target_format: str | None = None,
    unit: str | None = None,
    binning: int | None = None,
    force: bool = False,
) -> dict[str, Any]:
    """Show a calibration, or convert it.

    Args:
        source: a session, or a calibration of any known format.
        target: a session (its ``cameras.toml`` is written), a file or a folder.
        source_format: name in ``CAMERA_FORMATS``, where the content does not tell.
        target_format: the same, where the target's name does not tell.
        unit: m, cm, mm or in: what the source's lengths are in, where its format does not say.
        binning: pixels of the sensor that make one of the footage (Qualisys).
        force: replace what is there.

    Returns:
        ``cameras``: one row for each; ``file``: what was written, or None.
    """
    from calibration.formats import read_cameras, write_cameras

    source = _cameras_file(source)
    if not source.exists():
        raise InputError("no such file", where=source)
    options = {} if binning is None else {"binning": binning}
    read = read_cameras(source, source_format, unit=unit, **options)
    if target is not None:
        target = _cameras_file(target)
        if target.exists() and not force and not (target.is_dir() and not any(target.iterdir())):
            raise InputError(
                "is there already", where=target, todo="choose another name, or --force to replace it"
            )
        write_cameras(read, target, target_format)
    rows = [
        {
            "camera": name,
            "size_px": _known(read.size_px[index]),
            "focal_px": _known(read.focal_px[index]),
            "model": read.model[index],
            "center_m": _known(read.centers_world[index]),
        }
        for index, name in enumerate(read.names)
    ]
    return {"cameras": rows, "file": None if target is None else str(target)}


def _known(values: Tensor) -> list[float] | None:
    """The numbers, or None where the file does not say."""
    return values.tolist() if bool(values.isfinite().all()) else None


def _cameras_file(path: Path) -> Path:
    return Session(path).cameras_file if Session(path).settings_file.is_file() else path


def parsed_size(text: str | None) -> tuple[int, int] | None:
    """Width and height of ``1920x1080``."""
    if text is None:
        return None
    width, _, height = text.lower().replace(" ", "").partition("x")
    if not (width.isdecimal() and height.isdecimal()):
        raise InputError(f"{text!r} is no size", where="--size", todo="write it as 1920x1080")
    return int(width), int(height)


def import_motions(
    session: Path,
    sources: Iterable[Path],
    *,
    take: str = "take1",
    rig: str | None = None,
    unit: str | None = None,
    up: str | None = None,
    force: bool = False,
) -> dict[str, Any]:
    """Motion of other programs becomes people of a take, each named like its file.

    Args:
        session: gets the take; made where there is none.
        sources: BVH, FBX, GLB or AMC files; the ``.asf`` lies beside an ``.amc``.
        take: name of the take.
        rig: whose joint names they have, a preset or a TOML file; told from the names if left out.
        unit: m, cm, mm, inch or cmu, where files do not say.
        up: y or z, likewise.
        force: replace people of the same name.

    Returns:
        ``people``: one row for each, with the joints that were taken for ours.
    """
    from mocap.import_motion import import_motion

    opened = Session(session)
    target = opened.take(take)
    read: dict[str, Any] = {}
    for path in sources:
        if path.stem in read or (path.stem in target.motion_files() and not force):
            there = target.folder / "motion" / f"{path.stem}.npz"
            raise InputError(
                "is there already", where=there, todo="rename the file, or --force to replace it"
            )
        read[path.stem] = import_motion(path, rig=rig, unit=unit, up=up)
    if not opened.settings_file.is_file():
        Session.create(session, takes=(take,))
    for person, imported in read.items():
        target.save_motion(person, imported.motion)
    rows = [
        {
            "person": person,
            "frames": len(imported.motion.time_s),
            "rate_hz": imported.motion.mocap_framerate,
            "joints": dict(imported.names),
            "left_out": list(imported.left_out),
        }
        for person, imported in read.items()
    ]
    return {"people": rows}


def rig_of(file: Path, out: Path | None = None) -> dict[str, Any]:
    """Which joints of a character are taken for which of ours.

    Args:
        file: an FBX, BVH or GLB file.
        out: a TOML file to write, which names the character's file and holds the table for corrections.
    """
    import json

    from exporters.readers import rig_from_file

    found = rig_from_file(file)
    rows = [{"joint": ours, "in the file": theirs} for ours, theirs in found.names.items()]
    if out is not None:
        if out.exists():
            raise InputError("is there already", where=out, todo="choose another name")
        lines = [f"{ours} = {json.dumps(theirs, ensure_ascii=False)}" for ours, theirs in found.names.items()]
        head = f"file = {json.dumps(str(file.absolute()), ensure_ascii=False)}\n\n[names]\n"
        files.write_atomic(out, (head + "\n".join(lines) + "\n").encode())
    return {"file": str(file), "joints": rows}
