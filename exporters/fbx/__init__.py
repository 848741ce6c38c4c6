"""FBX, binary, written by our own hand: what Unreal, Unity, Maya, MotionBuilder and Blender read.

Y up, facing +Z, centimetres, no scale and no helper node above the skeleton, the T pose as the pose at rest,
one take with a key on every frame. What each reader insists on stands where it is written.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final, Literal

from exporters.animation import Animation, RigLike, animate
from exporters.axes import Axes
from exporters.errors import ExportError
from exporters.fbx.binary import CREATION_TIME, FILE_ID, Node, encode, i32, i64, raw, text
from exporters.fbx.camera import add_camera
from exporters.fbx.character import add_character
from exporters.fbx.evidence import add_evidence
from exporters.fbx.objects import (
    Scene,
    enum,
    integer,
    number,
    p,
    properties,
    string,
    ticks,
    time,
    vector,
)
from exporters.hierarchy import check_names
from exporters.lenses import lenses
from exporters.reduction import curves_of
from exporters.rest_first import with_rest_first
from exporters.smooth import Tracks, smooth, straight
from exporters.take import Take
from exporters.timecode import Timecode
from rigs.rig_names import DEFAULT_RIG

FBX_AXES: Final = Axes(up="+y", forward="+z", unit="cm")
"""What Maya and MotionBuilder are, and what every reader converts from without a scale on the root."""

Version = Literal[7400, 7500]

_TIME_MODES: Final = {
    120: 1, 100: 2, 60: 3, 50: 4, 48: 5, 30: 6, 30000 / 1001: 9, 25: 10, 24: 11, 1000: 12,
    24000 / 1001: 13, 96: 15, 72: 16, 60000 / 1001: 17, 120000 / 1001: 18,
}  # fmt: skip
"""FBX's numbers of frame rates."""
_CUSTOM_RATE: Final = 14
_DROP_FRAME: Final = {9: 8}
"""The numbers of the same rates where timecode drops numbers; 59.94 has none."""
_SAME_RATE: Final = 1e-4
"""Relative: 29.97 is meant for 30000/1001."""


def export_fbx(
    take: Take,
    /,
    *,
    rig: RigLike = DEFAULT_RIG,
    mesh: bool = True,
    one_file: bool = False,
    max_error_mm: float | None = None,
    smooth_keys: bool = False,
    uncertainty: bool = False,
    tpose_first_frame: bool = False,
    namespace: str = "",
    version: Version = 7400,
    start_frame: int = 0,
    end_frame: int | None = None,
) -> dict[str, bytes]:
    """One FBX file for each person, or one for all.

    Args:
        take: the people and their motions.
        rig: a preset, a TOML file's path, {our joint: name}, or a rig that was loaded.
        mesh: write the body's skin where the character has one; Unreal makes a skeleton of nothing else.
        one_file: all people in one file, the names of their joints behind ``<person>:``.
        max_error_mm: leave out keys and digits where no joint moves by more, in any reader; every key where
            left out.
        smooth_keys: with ``max_error_mm``, cubic curves through fewer keys still, right in programs that read
            FBX with Autodesk's SDK or ufbx (Unreal, Unity, Maya, MotionBuilder, iClone). Blender, three.js
            and Assimp draw straight lines between the keys, which are centimetres off.
        uncertainty: write each joint's standard deviation in every frame as a curve of a property
            ``std_mm``, not only its median as the property's value.
        tpose_first_frame: put the rest pose before the motion, standing where it begins, for programs that
            look for it there (MotionBuilder, iClone). All others see the figure jump.
        namespace: put before the names of joints, with a colon; people who share a file have their own.
        version: 7400 is read by everything; 7500 holds more than 4 GiB.
        start_frame: first frame of the motion that is written; it lies at time 0 of the file.
        end_frame: frame after the last one, counted from the end where negative; all if left out.

    Returns:
        {file name: contents}; the same bytes for the same input.

    Raises:
        ExportError: an unknown option, a name that FBX cannot hold, or frames without a pose.
    """
    if version not in (7400, 7500):
        raise ExportError(f"version must be 7400 or 7500, not {version}")
    frames = slice(start_frame, end_frame)
    animations = [animate(character, rig, FBX_AXES, frames) for character in take.characters]
    if not mesh:
        animations = [replace(animation, mesh=None) for animation in animations]
    if tpose_first_frame:
        animations = [with_rest_first(animation) for animation in animations]
    for animation in animations:
        check_names(animation.hierarchy.names, "FBX")
    views, timecode = lenses(take.cameras, FBX_AXES), take.timecode_of(frames)
    if timecode is not None and tpose_first_frame and timecode.frame:
        timecode += -1
    bound_cm = None if max_error_mm is None else max_error_mm / 10

    def write(people: list[Animation]) -> bytes:
        prefixes = [f"{one.name}:" if len(people) > 1 else namespace and f"{namespace}:" for one in people]
        tracks = [_tracks(one, bound_cm, smooth_keys) for one in people]
        scene = _scene(take.name, people, prefixes, tracks, timecode, uncertainty=uncertainty)
        for view in views:
            add_camera(scene, view)
        return encode(_top_level(scene, take.name, people, version, timecode), version)

    if one_file:
        return {f"{take.name}.fbx": write(animations)}
    return {f"{one.name}.fbx": write([one]) for one in animations}


def _scene(
    name: str,
    animations: list[Animation],
    prefixes: list[str],
    tracks: list[Tracks],
    timecode: Timecode | None,
    *,
    uncertainty: bool,
) -> Scene:
    """The people of one file."""
    scene = Scene()
    span = [time(key, value) for key, value in _span(_stop_s(animations)).items()]
    stack = scene.add("AnimationStack", name, "AnimStack", "", properties(*span))
    layer = scene.add("AnimationLayer", "BaseLayer", "AnimLayer", "", scope=True)
    scene.connect(layer, stack)
    for animation, prefix, curves in zip(animations, prefixes, tracks, strict=True):
        facts = {"mocap_person": animation.name} | ({"start_timecode": str(timecode)} if timecode else {})
        joints = add_character(scene, animation, layer, prefix, curves, facts)
        add_evidence(scene, animation, joints, layer, uncertainty=uncertainty)
    return scene


def _tracks(animation: Animation, bound_cm: float | None, smooth_keys: bool) -> Tracks:
    """A person's curves: all keys, or fewer."""
    if smooth_keys and bound_cm is not None:
        return smooth(animation, bound_cm)
    return straight(curves_of(animation, bound_cm))


def _stop_s(animations: list[Animation]) -> float:
    """When the longest motion ends, in seconds."""
    return max((len(animation.root_xyz) - 1) / animation.rate_hz for animation in animations)


def _span(stop_s: float) -> dict[str, float]:
    return {"LocalStart": 0.0, "LocalStop": stop_s, "ReferenceStart": 0.0, "ReferenceStop": stop_s}


def _top_level(
    scene: Scene, name: str, animations: list[Animation], version: int, timecode: Timecode | None
) -> list[Node]:
    """The nodes of a file, in the order that readers expect."""
    rate_hz, stop_s = animations[0].rate_hz, _stop_s(animations)
    span = (i64(0), i64(ticks(stop_s)))
    take = (
        Node("FileName", (text(f"{name}.tak"),)),
        Node("LocalTime", span),
        Node("ReferenceTime", span),
    )
    document = Node(
        "Document",
        (i64(1), text("Scene"), text("Scene")),
        (properties(string("ActiveAnimStackName", name)), Node("RootNode", (i64(0),))),
    )
    return [
        _header(version),
        Node("FileId", (raw(FILE_ID),)),
        Node("CreationTime", (text(CREATION_TIME),)),
        Node("Creator", (text("Mocap Studio"),)),
        _global_settings(rate_hz, stop_s, timecode),
        Node("Documents", (), (Node("Count", (i32(1),)), document)),
        Node("References", scope=True),
        scene.definitions(),
        Node("Objects", (), tuple(scene.objects)),
        Node("Connections", (), tuple(scene.connections)),
        Node("Takes", (), (Node("Current", (text(name),)), Node("Take", (text(name),), take))),
    ]


def _header(version: int) -> Node:
    """Who made the file; no date, so that the same input gives the same bytes."""
    parts = ("Year", "Month", "Day", "Hour", "Minute", "Second", "Millisecond")
    date = [Node(key, (i32(value),)) for key, value in zip(parts, (1970, 1, 1, 10, 0, 0, 0), strict=True)]
    scene_info = Node(
        "SceneInfo",
        (text("GlobalInfo\x00\x01SceneInfo"), text("UserData")),
        (
            Node("Type", (text("UserData"),)),
            Node("Version", (i32(100),)),
            Node("MetaData", (), (Node("Version", (i32(100),)), Node("Title", (text(""),)))),
            properties(
                p("Original", "Compound", "", ""),
                string("Original|ApplicationVendor", "Mocap Studio"),
                string("Original|ApplicationName", "Mocap Studio"),
            ),
        ),
    )
    return Node(
        "FBXHeaderExtension",
        (),
        (
            Node("FBXHeaderVersion", (i32(1003),)),
            Node("FBXVersion", (i32(version),)),
            Node("EncryptionType", (i32(0),)),
            Node("CreationTimeStamp", (), (Node("Version", (i32(1000),)), *date)),
            Node("Creator", (text("Mocap Studio"),)),
            scene_info,
        ),
    )


def _global_settings(rate_hz: float, stop_s: float, timecode: Timecode | None) -> Node:
    mode = next(
        (number for rate, number in _TIME_MODES.items() if abs(rate_hz / rate - 1) < _SAME_RATE), _CUSTOM_RATE
    )
    if timecode is not None and timecode.drop:
        mode = _DROP_FRAME.get(mode, mode)
    signs = [integer(f"{axis}AxisSign", 1) for axis in ("Up", "Front")]
    entries = (
        integer("UpAxis", 1),
        signs[0],
        integer("FrontAxis", 2),
        signs[1],
        integer("CoordAxis", 0),
        integer("CoordAxisSign", 1),
        integer("OriginalUpAxis", 1),
        integer("OriginalUpAxisSign", 1),
        number("UnitScaleFactor", 1.0),
        number("OriginalUnitScaleFactor", 1.0),
        vector("AmbientColor", "ColorRGB", "", (0.0, 0.0, 0.0)),
        string("DefaultCamera", "Producer Perspective"),
        enum("TimeMode", mode),
        time("TimeSpanStart", 0.0),
        time("TimeSpanStop", stop_s),
        number("CustomFrameRate", rate_hz if mode == _CUSTOM_RATE else -1.0),
    )
    return Node("GlobalSettings", (), (Node("Version", (i32(1000),)), properties(*entries)))
