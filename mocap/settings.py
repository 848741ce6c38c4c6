"""Every setting of every stage, with its default and unit; ``session.toml`` overrides single values.

Each stage gets its own node and never the tree.
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import sys
import tomllib
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from mocap.errors import ConfigError


@dataclass(frozen=True)
class BoardSettings:
    """The printed board that the cameras are calibrated with."""

    type: str = "charuco"
    """charuco, chessboard or aruco."""
    columns: int = 5
    """Squares across (ChArUco) or inner corners across (chessboard)."""
    rows: int = 7
    """Squares down (ChArUco) or inner corners down (chessboard)."""
    square_m: float = 0.08
    """Side of a square, metres, measured on the print."""
    marker_m: float = 0.06
    """Side of a marker, metres."""
    dictionary: str = "DICT_4X4_50"
    """OpenCV name of the marker dictionary."""
    inverted: bool = False
    """White markers on black."""
    legacy: bool = False
    """The pattern of OpenCV before 4.6 (even number of rows begins with a marker)."""
    marker_ids: tuple[int, ...] = ()
    """Numbers of the markers row by row, -1 where a place has none; [] for 0, 1, 2 and so on."""


@dataclass(frozen=True)
class CalibrateSettings:
    """How the cameras are calibrated."""

    examine_hz: float = 10.0
    """Images of each clip that are searched for the board, per second."""
    max_examined: int = 900
    """Most images of each clip that are searched; a longer clip is searched more sparsely."""
    max_frames: int = 150
    """Most board frames that enter the solve, chosen for spread; the same for each lens."""
    max_rms_px: float = 2.0
    """Reprojection error, at an image width of 1280 pixels, beyond which the result is not trusted."""
    clocks: bool = True
    """Cameras run freely: find their clocks and the board's motion between frames. Set it to false for
    cameras that are triggered together."""
    max_shift_s: float = 5.0
    """Largest difference between the starts of two board clips that is looked for, seconds."""


@dataclass(frozen=True)
class WorldSettings:
    """Where the calibrated cameras' world is, beyond the board at rest on the floor."""

    align: str = ""
    """Cameras of an older calibration, whose world is taken over; the path is relative to the session."""
    distances_m: dict[str, float] = field(default_factory=dict)
    """Measured distance between the lenses of two cameras, as "cam1 cam2", metres: the scale is set by it."""
    heights_m: dict[str, float] = field(default_factory=dict)
    """Height of three cameras or more above the floor, metres: the floor is set by them."""
    points_m: dict[str, tuple[float, ...]] = field(default_factory=dict)
    """Measured points of the room: x, y, z in metres, z up; three or more set the world."""
    points_px: dict[str, tuple[float, ...]] = field(default_factory=dict)
    """Where a camera sees a measured point, as "cam1 point": x, y in pixels."""
    x: str = "x"
    """Which axis of that world shall be x: x, -x, y or -y."""
    up: str = "z"
    """Which axis of it is up; y where the measured points are of a program with y up."""


@dataclass(frozen=True)
class SyncSettings:
    """How the cameras' clocks are put together."""

    offsets_s: dict[str, float] = field(default_factory=dict)
    """Seconds to add to each camera's own time, by camera name; the others are found, or start together."""
    find: bool = True
    """Look for the offsets in sound and in the motion of the people; false for cameras triggered together."""
    max_shift_s: float = 10.0
    """Largest offset that is looked for, seconds, either way from what clips say of their own start."""


@dataclass(frozen=True)
class DetectSettings:
    """How keypoints are found in the images."""

    detector: str = "blazepose"
    """Family of networks: a name of ``mocap models list`` without its variant."""
    variant: str = "best"
    """Which of its networks: fast, standard or best, or the word behind its name, as heavy, full or lite."""
    person: str = "blazepose"
    """Who finds people for networks that look at one at a time: blazepose, rtmdet, yolox, yolo or another."""
    mirror: bool = True
    """Also run on the mirror image and average: doubles the time, lowers the error."""
    max_people: int = 4
    """Most people looked for in one image."""
    hands: bool = False
    """Also find the fingers: 21 points of each hand, on re-crops around the wrists."""
    search_interval_s: float = 2.0
    """How long somebody who joins others in the image may stay unnoticed, seconds."""


@dataclass(frozen=True)
class ReconstructSettings:
    """How keypoints are triangulated."""

    min_views: int = 2
    """Fewest cameras that must agree."""
    max_error_px: float = 20.0
    """A view disagreeing more than this, at 1080 px image height, is an outlier; scaled by image height."""
    min_angle_deg: float = 3.0
    """Smallest angle between two rays that may determine depth."""
    rate_hz: float = 0.0
    """Frames per second of the result; 0 means the cameras' own rate."""


@dataclass(frozen=True)
class FitSettings:
    """How the body is fitted to the 3D keypoints."""

    body: str = "default"
    """Body model: ``default`` is the one that is shipped."""
    shape: str = ""
    """A motion file of the same person, whose shape is taken over; empty: the shape is solved for."""
    max_iterations: int = 30
    """Gauss-Newton iterations."""
    floor_sd_m: float = 0.010
    """Least standard deviation of a 3D keypoint on each axis, metres: detectors err together in all views."""
    correlation_s: float = 0.13
    """How long an error of a keypoint lasts, seconds: frames closer than this share one observation."""
    tail: float = 3.0
    """Degrees of freedom of the Student-t that keypoints' errors follow; smaller trusts outliers less."""
    acceleration_m_s2: float = 30.0
    """Common acceleration of the pelvis, m/s²: standard deviation at 30 frames a second."""
    acceleration_rad_s2: float = 100.0
    """Common angular acceleration of a joint, rad/s²: standard deviation at 30 frames a second."""
    floor: bool = True
    """The floor is at z = 0: feet do not sink, and stand still where they stand."""


@dataclass(frozen=True)
class ExportSettings:
    """What is written for other programs."""

    formats: tuple[str, ...] = ("bvh", "fbx")
    """Formats, by the names in the EXPORTERS table."""
    rig: str = "mixamo"
    """Skeleton that is written: a preset, a TOML file, or a character's own file (.fbx, .bvh, .glb)."""
    rest: str = "rig"
    """Pose at rest: the rig's own, or t."""
    root_motion: str = "full"
    """full, ground (a root on the floor travels below the character) or in place."""
    start_s: float = 0.0
    """Where the clip begins, seconds after the motion's first frame."""
    end_s: float = 0.0
    """Where it ends, likewise; 0 is the motion's end."""
    rate_hz: float = 0.0
    """Frames a second; 0 is the motion's own."""
    loop: bool = False
    """End the clip where the pose is most like its first one."""
    one_file: bool = False
    """All people in one file, where the format can hold them."""
    target: str = ""
    """Program that the files are for, one of ``exporters.TARGETS``; files that suit all of them if empty."""
    max_error_mm: float = 0.0
    """Keys of FBX and GLB curves are left out where no joint moves by more; 0 keeps all."""
    cameras: bool = False
    """Whether the calibrated cameras travel along, with a script that sets the scene in Blender."""
    timecode: str = ""
    """Timecode of the take's time 0, such as 01:00:00:00, or 01:00:00;00 for drop-frame."""


@dataclass(frozen=True)
class Settings:
    """The whole tree."""

    board: BoardSettings = BoardSettings()
    calibrate: CalibrateSettings = CalibrateSettings()
    world: WorldSettings = field(default_factory=WorldSettings)
    sync: SyncSettings = field(default_factory=SyncSettings)
    detect: DetectSettings = DetectSettings()
    reconstruct: ReconstructSettings = ReconstructSettings()
    fit: FitSettings = FitSettings()
    export: ExportSettings = ExportSettings()


def settings_from(table: Mapping[str, Any], *, where: Path | str, beside: tuple[str, ...] = ()) -> Settings:
    """Settings from the tables of a ``session.toml``.

    Args:
        table: section name to its keys and values; what is not named keeps its default.
        where: the file, for messages.
        beside: keys that may stand beside the sections and are no settings.

    Raises:
        ConfigError: an unknown section or key (the message lists the valid ones), or a value of a wrong kind.
    """
    nodes = {item.name: item for item in dataclasses.fields(Settings)}
    built = {}
    for section, values in table.items():
        if section in beside:
            continue
        if section not in nodes:
            valid = ", ".join([*nodes, *beside])
            raise ConfigError(f"unknown key '{section}'", where=where, todo=f"valid: {valid}")
        if not isinstance(values, Mapping):
            raise ConfigError(f"'{section}' is a section: write [{section}]", where=where)
        built[section] = _node(_node_types()[section], section, values, where)
    return Settings(**built)


def with_overrides(settings: Settings, overrides: typing.Iterable[str]) -> Settings:
    """Settings with single values replaced, each given as ``section.key=value`` in TOML's notation."""
    for override in overrides:
        path, equals, text = override.partition("=")
        section, dot, key = path.strip().partition(".")
        if not (equals and dot):
            raise ConfigError(f"'{override}' is not section.key=value", where="--set")
        if section not in _node_types():
            raise ConfigError(
                f"unknown key '{section}'", where="--set", todo=f"valid: {', '.join(_node_types())}"
            )
        try:
            value = tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            value = text  # a bare word is a string: quotes are lost in every shell
        node = getattr(settings, section)
        changed = _node(type(node), section, {key: value}, "--set", base=node)
        settings = dataclasses.replace(settings, **{section: changed})
    return settings


def field_docs(node: type) -> dict[str, str]:
    """The docstring line that follows each field of a settings class."""
    tree = ast.parse(inspect.getsource(node))
    body = typing.cast(ast.ClassDef, tree.body[0]).body
    docs = {}
    for item, after in pairwise(body):
        if isinstance(item, ast.AnnAssign) and isinstance(after, ast.Expr):
            docs[ast.unparse(item.target)] = str(ast.literal_eval(after.value))
    return docs


def _node_types() -> dict[str, type]:
    return typing.get_type_hints(Settings)


def _node(
    kind: type, section: str, values: Mapping[str, Any], where: Path | str, base: object | None = None
) -> Any:
    hints = typing.get_type_hints(kind, vars(sys.modules[__name__]))
    for key in values:
        if key not in hints:
            raise ConfigError(
                f"unknown key '{key}' in [{section}]", where=where, todo=f"valid: {', '.join(hints)}"
            )
    checked = {key: _value(hints[key], value, f"{section}.{key}", where) for key, value in values.items()}
    return dataclasses.replace(base, **checked) if base is not None else kind(**checked)


def _value(hint: Any, value: Any, name: str, where: Path | str) -> Any:
    """The value in the type of its field; integers pass as floats, lists as tuples."""
    origin = typing.get_origin(hint) or hint
    if origin in (types.UnionType, typing.Union):
        hint = origin = next(arg for arg in typing.get_args(hint) if arg is not type(None))
    if origin is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if origin is tuple and isinstance(value, list | tuple | str):
        items = [value] if isinstance(value, str) else list(value)
        inner = typing.get_args(hint)[0]
        return tuple(_value(inner, item, name, where) for item in items)
    if origin is dict and isinstance(value, Mapping):
        inner = typing.get_args(hint)[1]
        return {str(key): _value(inner, item, f"{name}.{key}", where) for key, item in value.items()}
    if isinstance(value, bool) != (origin is bool) or not isinstance(value, origin):
        raise ConfigError(f"{name} must be a {origin.__name__}, not {value!r}", where=where)
    return value
