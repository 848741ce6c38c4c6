"""USD by Pixar's own library: UsdSkel skeleton, skin and animation; text, binary, or one package (usdz).

Y up, facing +Z, metres, one time code to a frame, the first at 0. The default prim holds one SkelRoot for
each person, with Skeleton, Motion and the skin below it, and the cameras beside.
"""

from __future__ import annotations

import io
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, Literal

from exporters.animation import Animation, RigLike, animate
from exporters.axes import METRES_PER_UNIT, Axes, Unit
from exporters.errors import ExportError
from exporters.hierarchy import check_names
from exporters.lenses import Lens, lenses
from exporters.take import Take
from exporters.timecode import Timecode
from exporters.usd_prims import add_camera, add_person, identifier, pxr
from rigs.rig_names import DEFAULT_RIG

USD_AXES: Final = Axes(up="+y", forward="+z", unit="m")
"""Y up is the library's own default and what usdz must be."""

Encoding = Literal["usda", "usdc", "usdz"]

_PACKAGE_ALIGNMENT: Final = 64
"""Bytes: where a usdz package's files begin, so that they can be mapped into memory."""


def usd_writer(encoding: Encoding) -> Callable[..., dict[str, bytes]]:
    """The exporter of one of the encodings; the functions differ in nothing else."""

    def export_usd(
        take: Take,
        /,
        *,
        rig: RigLike = DEFAULT_RIG,
        mesh: bool = True,
        one_file: bool = False,
        unit: Unit = "m",
        up: Literal["y", "z"] = "y",
        start_frame: int = 0,
        end_frame: int | None = None,
    ) -> dict[str, bytes]:
        """One USD file for each person, or one for all.

        Args:
            take: the people and their motions.
            rig: a preset, a TOML file's path, {our joint: name}, or a rig that was loaded.
            mesh: write the body's skin where the character has one.
            one_file: all people in one file.
            unit: unit of length, which the file names.
            up: the vertical axis, which the file names.
            start_frame: first frame of the motion that is written; it lies at time code 0.
            end_frame: frame after the last one, counted from the end where negative; all if left out.

        Returns:
            {file name: contents}; the same bytes for the same input.

        Raises:
            ExportError: usd-core is not installed, a rig that does not suit, or frames without a pose.
        """
        axes = usd_axes(unit, up)
        frames = slice(start_frame, end_frame)
        animations = [animate(character, rig, axes, frames) for character in take.characters]
        for animation in animations:
            check_names(animation.hierarchy.names, "USD")
        if not mesh:
            animations = [replace(animation, mesh=None) for animation in animations]
        views, timecode = lenses(take.cameras, axes), take.timecode_of(frames)
        if one_file:
            return {
                f"{take.name}.{encoding}": _encoded(_stage(take.name, animations, views, timecode), encoding)
            }
        return {
            f"{one.name}.{encoding}": _encoded(_stage(take.name, [one], views, timecode), encoding)
            for one in animations
        }

    return export_usd


def usd_axes(unit: Unit = "m", up: Literal["y", "z"] = "y") -> Axes:
    """The axes of a USD file: Y up facing +Z, or Z up facing -Y."""
    if up not in ("y", "z"):
        raise ExportError(f"no up axis {up!r}; choose y or z")
    return Axes(up="+y", forward="+z", unit=unit) if up == "y" else Axes(up="+z", forward="-y", unit=unit)


def _stage(name: str, animations: list[Animation], views: tuple[Lens, ...], timecode: Timecode | None) -> Any:
    """A stage in memory with everything in it."""
    usd, geom = pxr("Usd"), pxr("UsdGeom")
    stage = usd.Stage.CreateInMemory()
    axes, rate_hz = animations[0].axes, animations[0].rate_hz
    geom.SetStageUpAxis(stage, axes.up[1].upper())
    geom.SetStageMetersPerUnit(stage, METRES_PER_UNIT[axes.unit])
    last_s = max((len(animation.root_xyz) - 1) / animation.rate_hz for animation in animations)
    stage.SetTimeCodesPerSecond(rate_hz)
    stage.SetFramesPerSecond(rate_hz)
    stage.SetStartTimeCode(0)
    stage.SetEndTimeCode(round(last_s * rate_hz, 6))
    root = geom.Xform.Define(stage, f"/{identifier(name, set())}").GetPrim()
    stage.SetDefaultPrim(root)
    taken: set[str] = set()
    for animation in animations:
        path = root.GetPath().AppendChild(identifier(animation.name, taken))
        add_person(stage, path, animation, animation.time_s * rate_hz)
    if views:
        group = geom.Scope.Define(stage, root.GetPath().AppendChild(identifier("cameras", taken)))
        names: set[str] = set()
        for view in views:
            add_camera(stage, group.GetPath().AppendChild(identifier(view.name, names)), view, axes)
    data = {"creator": "Mocap Studio"} | ({"startTimecode": str(timecode)} if timecode else {})
    stage.GetRootLayer().customLayerData = data
    return stage


def _encoded(stage: Any, encoding: Encoding) -> bytes:
    """The bytes of the stage's layer."""
    layer = stage.GetRootLayer()
    if encoding == "usda":
        return layer.ExportToString().encode()
    with tempfile.TemporaryDirectory() as folder:  # the library writes binary files by name alone
        file = Path(folder) / "scene.usdc"
        if not layer.Export(str(file)):
            raise ExportError("usd-core could not write its binary format; try usda")
        data = file.read_bytes()
    return data if encoding == "usdc" else _package(data)


def _package(scene: bytes) -> bytes:
    """A usdz: a zip of stored files, each at a multiple of 64 bytes. Undated, unlike the library's own."""
    entry = zipfile.ZipInfo("scene.usdc")
    head = 30 + len(entry.filename)  # bytes of a local header before its extra field
    padding = (-head - 4) % _PACKAGE_ALIGNMENT
    entry.extra = b"\x86\x19" + padding.to_bytes(2, "little") + bytes(padding)
    entry.external_attr = 0o644 << 16
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(entry, scene)
    return buffer.getvalue()
