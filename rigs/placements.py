"""Where on the body the detectors put their keypoints: a prior for a fit, not the truth.

A placement is a mean of points of the body (surface keypoints, or joints as ``joint:left_knee``) plus a
constant offset. The offset is given in the body's rest axes (x to the person's left, y up, z forward, with
the arms out in T) and turns with the joints named beside it: an offset at the elbow that points along -x lies
up the upper arm whatever the arm does. Only the left side is written down; the right is its mirror image.

BlazePose's offsets, and how far they differ from person to person, are learned in the virtual studio: many
people of known joints are rendered, and what the detector sees of them is held against the truth (``make
offsets``; ``mocap.virtual.learn_offsets`` says how). They lie in ``data/keypoint_offsets.json``. At elbow,
wrist and knee the two bones that meet share the offset, since the skin there turns half way. The sets in
COCO's tradition have the surface keypoints themselves.
"""

from __future__ import annotations

import json
from collections.abc import Container, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from rigs.errors import RigError
from rigs.keypoints import KEYPOINT_SETS, canonical_names, mirrored_name

OFFSETS_FILE: Final = Path(__file__).parent / "data" / "keypoint_offsets.json"
"""The learned offsets, by keypoint set."""
OFFSETS_FORMAT: Final = "mocap-studio keypoint offsets"
"""What the file says that it is."""

JOINT_PREFIX: Final = "joint:"
"""Marks a joint's name where a keypoint's is expected: ``joint:left_knee``."""

TIPS: Final[dict[str, str]] = {
    "head": "head_top",
    "left_hand": "left_middle_tip",
    "right_hand": "right_middle_tip",
    "left_foot": "left_big_toe_tip",
    "right_foot": "right_big_toe_tip",
}
"""Which keypoint ends the bone of a joint without children."""

LOOSE_M: Final = 0.015
"""Standard deviation at hip, shoulder, neck and crown, where annotators click loosely."""
FIRM_M: Final = 0.008
"""Standard deviation at well-marked places; the offsets of four bodies differed by 4-8 mm."""


@dataclass(frozen=True)
class Placement:
    """Where on the body one keypoint of a detector lies."""

    on: tuple[str, ...]
    """Surface keypoints or joints (``joint:...``) whose mean it is."""
    offset_m: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Added to the mean: metres, rest axes."""
    turns_with: tuple[str, ...] = ()
    """Joints whose turn carries the offset, in equal parts; none: as the skin around turns."""
    sigma_m: float = FIRM_M
    """How far the truth may lie from here, constant over a take: standard deviation on each axis."""

    def mirrored(self) -> Placement:
        """The placement on the other side of the body."""
        x, y, z = self.offset_m
        return replace(
            self,
            on=tuple(mirrored_name(name) for name in self.on),
            offset_m=(-x, y, z),
            turns_with=tuple(mirrored_name(name) for name in self.turns_with),
        )


_COMMON: Final[dict[str, Placement]] = {
    **{name: Placement((name,)) for name in ("nose", "left_eye", "left_ear", "left_elbow", "left_wrist")},
    **{name: Placement((name,)) for name in ("left_knee", "left_ankle", "left_heel", "left_big_toe")},
    "left_small_toe": Placement(("left_small_toe",)),
    "left_shoulder": Placement(("left_shoulder",), sigma_m=LOOSE_M),
    "left_hip": Placement(("left_hip",), sigma_m=LOOSE_M),
    "head_top": Placement(("head_top",), sigma_m=LOOSE_M),
    "neck": Placement(("left_shoulder", "right_shoulder"), sigma_m=LOOSE_M),
    "mid_hip": Placement(("left_hip", "right_hip"), sigma_m=LOOSE_M),
    "upper_neck": Placement(("joint:neck", "joint:head"), sigma_m=0.03),
}

_BLAZEPOSE: Final[dict[str, Placement]] = {
    "nose": Placement(("nose",), sigma_m=0.010),
    "left_eye": Placement(("left_pupil",)),
    "left_eye_inner": Placement(("left_eye_inner",)),
    "left_eye_outer": Placement(("left_eye_outer",)),
    "mouth_left": Placement(("mouth_left",)),
    "left_ear": Placement(("left_ear",), turns_with=("head",), sigma_m=LOOSE_M),
    "left_shoulder": Placement(("joint:left_shoulder",), turns_with=("left_collar",), sigma_m=LOOSE_M),
    "left_elbow": Placement(("joint:left_elbow",), turns_with=("left_shoulder", "left_elbow")),
    "left_wrist": Placement(("joint:left_wrist",), turns_with=("left_elbow", "left_wrist")),
    # the first knuckle of index and little finger, the second of the thumb; fingers bend, the body's do not
    "left_index": Placement(("left_index_knuckle",), sigma_m=LOOSE_M),
    "left_pinky": Placement(("left_pinky_knuckle",), sigma_m=LOOSE_M),
    "left_thumb": Placement(("left_thumb_knuckle",), sigma_m=LOOSE_M),
    "left_hip": Placement(("joint:left_hip",), turns_with=("pelvis",), sigma_m=LOOSE_M),
    "left_knee": Placement(("joint:left_knee",), turns_with=("left_hip", "left_knee")),
    "left_ankle": Placement(("joint:left_ankle",), turns_with=("left_knee",)),
    "left_heel": Placement(("left_heel",), sigma_m=0.012),
    # short of the big toe's end
    "left_foot_index": Placement(("left_big_toe",), turns_with=("left_foot",), sigma_m=0.012),
}

JOINT_M: Final = 0.003
"""Standard deviation where joints themselves are given: another body's may lie a little elsewhere."""
_JOINTS: Final[dict[str, Placement]] = {
    name: Placement((JOINT_PREFIX + name,), sigma_m=JOINT_M) for name in KEYPOINT_SETS["smpl24"]
}


_SAME_BODY: Final = {
    "blazepose75": "blazepose33",
    "coco_wholebody133": "coco_wholebody23",
    "halpe136": "halpe26",
}
"""Sets that are another one with hands and face beside it."""


def _learned(set_name: str, table: dict[str, Placement]) -> dict[str, Placement]:
    """A table with the offsets and deviations that were learned for its keypoints."""
    content: dict[str, Any] = json.loads(OFFSETS_FILE.read_text(encoding="utf-8"))
    found: dict[str, dict[str, Any]] = (
        content["sets"].get(_SAME_BODY.get(set_name, set_name), {}).get("keypoints", {})
    )

    def with_offset(name: str, place: Placement) -> Placement:
        if name not in found:
            return place
        x, y, z = (float(part) for part in found[name]["offset_m"])
        return replace(place, offset_m=(x, y, z), sigma_m=float(found[name]["sigma_m"]))

    return {name: with_offset(name, place) for name, place in table.items()}


_TABLES: Final = {
    name: _learned(
        name, _JOINTS if name == "smpl24" else _BLAZEPOSE if name.startswith("blazepose") else _COMMON
    )
    for name in KEYPOINT_SETS
}


_FINGER_JOINTS: Final = {
    "thumb": "thumb",
    "forefinger": "index",
    "middle_finger": "middle",
    "ring_finger": "ring",
    "pinky_finger": "pinky",
}
"""Fingers as keypoints and as joints of SMPL-H and SMPL-X are named."""


def _fingers(joint_names: Container[str]) -> dict[str, Placement]:
    """Where a hand's points lie: on the joints of a body that has fingers, else knuckles on the skin."""
    table = {"left_hand_root": Placement(("joint:left_wrist",), sigma_m=LOOSE_M)}
    for finger, bone in _FINGER_JOINTS.items():
        if f"left_{bone}1" in joint_names:
            for part in (1, 2, 3):
                table[f"left_{finger}{part}"] = Placement((f"joint:left_{bone}{part}",))
            table[f"left_{finger}4"] = Placement((f"left_{bone}_tip",), turns_with=(f"left_{bone}3",))
        else:
            # the thumb's knuckle on the skin is its second joint
            part = 2 if finger == "thumb" else 1
            table[f"left_{finger}{part}"] = Placement((f"left_{bone}_knuckle",), sigma_m=LOOSE_M)
    return table


def _table(set_name: str, joint_names: Container[str]) -> dict[str, Placement]:
    """The places of a set's keypoints of the left side and the middle, on a body of these joints."""
    return _fingers(joint_names) | _TABLES[set_name]


def placed(set_name: str, joint_names: Container[str] = ()) -> tuple[str, ...]:
    """The keypoints of a set whose place on the body is known: those of the face are not.

    Args:
        set_name: a key of ``KEYPOINT_SETS``.
        joint_names: of the body; one with fingers has places for all of theirs.
    """
    table = _table(set_name, joint_names)
    return tuple(n for n in KEYPOINT_SETS[set_name] if n in table or mirrored_name(n) in table)


def placements(set_name: str, names: Sequence[str], joint_names: Container[str] = ()) -> list[Placement]:
    """Where the keypoints of a set lie on the body.

    Args:
        set_name: a key of ``KEYPOINT_SETS``.
        names: keypoints of the set in any known spelling.
        joint_names: of the body.

    Raises:
        RigError: a set or a keypoint that is not known; the message lists what is.
    """
    if set_name not in KEYPOINT_SETS:
        raise RigError(f"no keypoint set {set_name!r}; known are {', '.join(KEYPOINT_SETS)}")
    canonical = canonical_names(names)
    unknown = [name for name in canonical if name not in placed(set_name, joint_names)]
    if unknown:
        has = ", ".join(placed(set_name, joint_names))
        raise RigError(f"keypoint set {set_name} has no {', '.join(unknown)}; it has {has}")
    table = _table(set_name, joint_names)
    return [table[name] if name in table else table[mirrored_name(name)].mirrored() for name in canonical]
