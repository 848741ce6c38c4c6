"""Keypoint sets of the common detectors: their names, order, spellings, and the lines between them.

Names are lower case with underscores, the side first (``left_big_toe``); BlazePose's ``mouth_left`` keeps the
name its makers gave it. Where the keypoints lie on the body is in ``rigs.placements``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

_COCO: Final = (
    *("nose", "left_eye", "right_eye", "left_ear", "right_ear"),
    *("left_shoulder", "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist"),
    *("left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle"),
)
_FEET: Final = (
    *("left_big_toe", "left_small_toe", "left_heel"),
    *("right_big_toe", "right_small_toe", "right_heel"),
)

_BLAZEPOSE: Final = (
    *("nose", "left_eye_inner", "left_eye", "left_eye_outer"),
    *("right_eye_inner", "right_eye", "right_eye_outer", "left_ear", "right_ear"),
    *("mouth_left", "mouth_right", "left_shoulder", "right_shoulder", "left_elbow", "right_elbow"),
    *("left_wrist", "right_wrist", "left_pinky", "right_pinky", "left_index", "right_index"),
    *("left_thumb", "right_thumb", "left_hip", "right_hip", "left_knee", "right_knee"),
    *("left_ankle", "right_ankle", "left_heel", "right_heel", "left_foot_index", "right_foot_index"),
)
_FACE68: Final = tuple(f"face_{number}" for number in range(68))
_FINGERS: Final = ("thumb", "forefinger", "middle_finger", "ring_finger", "pinky_finger")
_HAND21: Final = ("hand_root", *(f"{finger}{joint}" for finger in _FINGERS for joint in (1, 2, 3, 4)))
_HALPE26: Final = (  # the feet alternate left and right here, unlike WholeBody
    *(*_COCO, "head_top", "neck", "mid_hip", "left_big_toe", "right_big_toe"),
    *("left_small_toe", "right_small_toe", "left_heel", "right_heel"),
)


def hand_names(side: str) -> tuple[str, ...]:
    """The 21 points of a hand as COCO-WholeBody names them: root, then thumb to little finger, base to tip.

    Args:
        side: left, right, or empty for a hand of unknown side.
    """
    return tuple(f"{side}_{name}" if side else name for name in _HAND21)


_HANDS42: Final = (*hand_names("left"), *hand_names("right"))

KEYPOINT_SETS: Final[dict[str, tuple[str, ...]]] = {
    "coco17": _COCO,
    # the first 23 of the 133: hands and face are no part of these bodies
    "coco_wholebody23": (*_COCO, *_FEET),
    "halpe26": _HALPE26,
    "body25": (
        *("nose", "neck", "right_shoulder", "right_elbow", "right_wrist"),
        *("left_shoulder", "left_elbow", "left_wrist", "mid_hip", "right_hip", "right_knee", "right_ankle"),
        *("left_hip", "left_knee", "left_ankle", "right_eye", "left_eye", "right_ear", "left_ear", *_FEET),
    ),
    "body25b": (*_COCO, "upper_neck", "head_top", *_FEET),
    "blazepose33": _BLAZEPOSE,
    # BlazePose with the hands of its makers' hand network
    "blazepose75": (*_BLAZEPOSE, *_HANDS42),
    "coco_wholebody133": (*_COCO, *_FEET, *_FACE68, *_HANDS42),
    "halpe136": (*_HALPE26, *_FACE68, *_HANDS42),
    "openpose18": (
        *("nose", "neck", "right_shoulder", "right_elbow", "right_wrist"),
        *("left_shoulder", "left_elbow", "left_wrist", "right_hip", "right_knee", "right_ankle"),
        *("left_hip", "left_knee", "left_ankle", "right_eye", "left_eye", "right_ear", "left_ear"),
    ),
    "openpose_mpi15": (
        *("head_top", "neck", "right_shoulder", "right_elbow", "right_wrist"),
        *("left_shoulder", "left_elbow", "left_wrist", "right_hip", "right_knee", "right_ankle"),
        *("left_hip", "left_knee", "left_ankle", "chest"),
    ),
    "mpii16": (
        *("right_ankle", "right_knee", "right_hip", "left_hip", "left_knee", "left_ankle"),
        *("mid_hip", "thorax", "upper_neck", "head_top", "right_wrist", "right_elbow", "right_shoulder"),
        *("left_shoulder", "left_elbow", "left_wrist"),
    ),
    "h36m17": (
        *("mid_hip", "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle"),
        *("spine", "thorax", "neck_base", "head_top", "left_shoulder", "left_elbow", "left_wrist"),
        *("right_shoulder", "right_elbow", "right_wrist"),
    ),
    "hand21": _HAND21,
    "hands42": _HANDS42,
    # no detector's: the joints of a body themselves, as simulations and other programs' solves have them
    "smpl24": (
        *("pelvis", "left_hip", "right_hip", "spine1", "left_knee", "right_knee"),
        *("spine2", "left_ankle", "right_ankle", "spine3", "left_foot", "right_foot"),
        *("neck", "left_collar", "right_collar", "head", "left_shoulder", "right_shoulder"),
        *("left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_hand", "right_hand"),
    ),
}
"""Names in the order in which each set's files and networks list them."""

LIMBS: Final[tuple[tuple[str, str], ...]] = (
    *(("left_shoulder", "right_shoulder"), ("left_hip", "right_hip"), ("mouth_left", "mouth_right")),
    *(("left_shoulder", "left_hip"), ("right_shoulder", "right_hip")),
    *(("left_shoulder", "left_elbow"), ("left_elbow", "left_wrist")),
    *(("right_shoulder", "right_elbow"), ("right_elbow", "right_wrist")),
    *(("left_hip", "left_knee"), ("left_knee", "left_ankle")),
    *(("right_hip", "right_knee"), ("right_knee", "right_ankle")),
    *(("left_ankle", "left_heel"), ("left_heel", "left_big_toe"), ("left_ankle", "left_big_toe")),
    *(("right_ankle", "right_heel"), ("right_heel", "right_big_toe"), ("right_ankle", "right_big_toe")),
    *(("left_big_toe", "left_small_toe"), ("right_big_toe", "right_small_toe")),
    *(("left_heel", "left_foot_index"), ("left_ankle", "left_foot_index")),
    *(("right_heel", "right_foot_index"), ("right_ankle", "right_foot_index")),
    *(("left_wrist", "left_index"), ("left_wrist", "left_pinky"), ("left_index", "left_pinky")),
    *(("right_wrist", "right_index"), ("right_wrist", "right_pinky"), ("right_index", "right_pinky")),
    *(("left_wrist", "left_thumb"), ("right_wrist", "right_thumb")),
    *(("nose", "left_eye"), ("left_eye", "left_ear"), ("nose", "right_eye"), ("right_eye", "right_ear")),
    *(("nose", "neck"), ("neck", "mid_hip"), ("upper_neck", "head_top")),
    *(
        (f"{side}{first}", f"{side}{second}")
        for side in ("left_", "right_", "")
        for finger in _FINGERS
        for first, second in zip(
            ("hand_root", *(f"{finger}{joint}" for joint in (1, 2, 3))),
            (f"{finger}{joint}" for joint in (1, 2, 3, 4)),
            strict=True,
        )
    ),
    *(("pelvis", "spine1"), ("spine1", "spine2"), ("spine2", "spine3"), ("spine3", "neck"), ("neck", "head")),
    *(("left_ankle", "left_foot"), ("right_ankle", "right_foot")),
)
"""Lines that show a person when drawn; a set uses those whose two ends it has."""

_FURTHER: Final[dict[str, str]] = {
    "hip": "mid_hip",
    "pelvis": "mid_hip",
    "root": "mid_hip",
    "head": "head_top",
    "crown": "head_top",
    "left_mouth": "mouth_left",
    "right_mouth": "mouth_right",
    "left_little_toe": "left_small_toe",
    "right_little_toe": "right_small_toe",
    "left_toe": "left_big_toe",
    "right_toe": "right_big_toe",
}
"""Other names of the same keypoints in the files of other programs."""

_SPINE: Final = {"spine1", "spine2", "spine3"}
"""Joints that tell that all names are joints of a body."""


def canonical_names(names: Sequence[str]) -> tuple[str, ...]:
    """Our spelling of keypoint names: ``LBigToe``, ``Left Eye`` and ``ankle.L`` are known.

    Args:
        names: any spellings.

    Returns:
        As many names; one that belongs to no set is only turned into lower case with underscores, and so is
        one whose name in the sets another one of them has already: a dog's ``crown`` beside its ``head``.
        Beside the spine's joints, ``pelvis`` and ``head`` are joints, too, and no middle of the hips and no
        crown.
    """
    known = [_SPELLINGS.get(_squash(name)) for name in names]
    plain = [_snake(name) for name in names]
    if set(plain) >= _SPINE:
        joints = set(KEYPOINT_SETS["smpl24"])
        known = [own if own in joints else name for own, name in zip(plain, known, strict=True)]
    taken = {name for name, own in zip(known, plain, strict=True) if name == own}
    result: list[str] = []
    for name, own in zip(known, plain, strict=True):
        free = name is not None and (name == own or name not in taken)
        result.append(name if name is not None and free else own)
        taken.add(result[-1])
    return tuple(result)


_PERSON_PAIRS: Final = (("shoulder", "hip"), ("wrist", "ankle"))
_NO_PERSON: Final = ("tail", "paw", "hoof", "wing", "beak", "snout", "fin", "withers", "abdomen", "antenna")


def is_person(names: Sequence[str]) -> bool:
    """Whether keypoints of these names (canonical) can place a human body.

    A person has two shoulders or two hips, and two wrists or two ankles; animals that borrow such names have
    paws and tails beside them.
    """
    has = set(names)
    paired = all(any({f"left_{part}", f"right_{part}"} <= has for part in choice) for choice in _PERSON_PAIRS)
    return paired and not any(word in _NO_PERSON for name in names for word in name.split("_"))


def limbs(names: Sequence[str]) -> tuple[tuple[int, int], ...]:
    """Index pairs, into ``names``, of the ``LIMBS`` whose two ends are there."""
    place = {name: index for index, name in enumerate(names)}
    return tuple((place[a], place[b]) for a, b in LIMBS if a in place and b in place)


def mirrored_name(name: str) -> str:
    """The name on the person's other side; names in the middle stay."""
    swapped = {"left": "right", "right": "left"}
    return re.sub("left|right", lambda found: swapped[found.group()], name)


def _squash(name: str) -> str:
    """Letters and digits only, lower case."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _snake(name: str) -> str:
    """Lower case with underscores: words end at capitals and at everything that is no letter or digit."""
    words = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name)
    return re.sub(r"[^a-z0-9]+", "_", words.lower()).strip("_")


def _spellings() -> dict[str, str]:
    """Squashed spelling -> our name: side as a word or a letter, before or after."""
    known = {name: name for names in KEYPOINT_SETS.values() for name in names} | _FURTHER
    table: dict[str, str] = {}
    for spelled, name in known.items():
        table[_squash(spelled)] = name
        for side in ("left", "right"):
            if side in spelled:
                part = _squash(spelled.replace(side, ""))
                table |= {text: name for text in (side + part, part + side, side[0] + part, part + side[0])}
    return table


_SPELLINGS: Final = _spellings()
