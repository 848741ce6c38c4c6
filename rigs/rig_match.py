"""Which joints of somebody's character are ours: told by their names, checked by how they hang together."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

from rigs.rig_names import available_rigs, load_rig_names

_SHARED_PREFIX: Final = 0.6
"""A prefix that this share of the names has says nothing."""

_ALSO: Final[dict[str, str]] = {
    "hips": "pelvis", "pelvis": "pelvis", "hip": "pelvis", "chest": "spine2", "upperchest": "spine3",
    "neck": "neck", "head": "head", "spine": "spine1",
    **{
        spelling.format(s=short): f"{side}_{joint}"
        for side in ("left", "right")
        for short in (side, side[0])
        for joint, spellings in {
            "hip": ("{s}upleg", "{s}upperleg", "{s}thigh", "{s}hip", "upperleg{s}", "thigh{s}", "upleg{s}"),
            "knee": ("{s}leg", "{s}lowerleg", "{s}knee", "{s}calf", "{s}shin", "lowerleg{s}", "calf{s}",
                     "shin{s}", "leg{s}", "knee{s}"),
            "ankle": ("{s}foot", "{s}ankle", "foot{s}", "ankle{s}"),
            "foot": ("{s}toe", "{s}toebase", "{s}toes", "{s}ball", "toe{s}", "toes{s}", "toebase{s}",
                     "ball{s}"),
            "collar": ("{s}shoulder", "{s}collar", "{s}clavicle", "shoulder{s}", "clavicle{s}", "collar{s}"),
            "shoulder": ("{s}arm", "{s}upperarm", "{s}uparm", "upperarm{s}", "arm{s}", "uparm{s}"),
            "elbow": ("{s}forearm", "{s}lowerarm", "{s}elbow", "forearm{s}", "lowerarm{s}", "elbow{s}",
                      "lowarm{s}", "{s}lowarm"),
            "wrist": ("{s}hand", "{s}wrist", "hand{s}", "wrist{s}"),
        }.items()
        for spelling in spellings
    },
}  # fmt: skip
"""Spellings that mean the same everywhere, without signs and case."""

_ACCLAIM: Final[dict[str, str]] = {
    "pelvis": "root", "spine1": "lowerback", "spine2": "upperback", "spine3": "thorax",
    "neck": "lowerneck", "head": "head",
    **{
        f"{side}_{ours}": side[0] + theirs
        for side in ("left", "right")
        for ours, theirs in {
            "hip": "femur", "knee": "tibia", "ankle": "foot", "foot": "toes",
            "collar": "clavicle", "shoulder": "humerus", "elbow": "radius", "wrist": "wrist",
        }.items()
    },
}  # fmt: skip
"""Names of bones in the .asf files of the CMU database; no program's characters are named so."""


def match_joints(names: Sequence[str], parents: Sequence[int], rig: str | None = None) -> dict[str, int]:
    """Our joints among those of a skeleton.

    Args:
        names: its joint names.
        parents: index of each joint's parent, -1 for a root; parents come first.
        rig: a preset whose names they are; the one that fits best if left out.

    Returns:
        {our joint: index}, each joint once, and each below what our skeleton has above it.
    """
    plain = _plain(names)
    place: dict[str, int] = {}
    for index, name in enumerate(plain):
        place.setdefault(name, index)
    tables = [load_rig_names(preset) for preset in ([rig] if rig else available_rigs())]
    found = max((_by_names(table, place) for table in (*tables, _ACCLAIM)), key=len)
    for spelling, ours in _ALSO.items():
        if ours not in found and spelling in place and place[spelling] not in found.values():
            found[ours] = place[spelling]
    return _hanging_together(found, parents)


def _plain(names: Sequence[str]) -> list[str]:
    """Names without namespace, shared prefix, signs and case."""
    bare = [re.split(r"[:|]", name)[-1] for name in names]
    heads = Counter(match.group() for name in bare if (match := re.match(r"[A-Za-z0-9]+[_ ]", name)))
    head, count = heads.most_common(1)[0] if heads else ("", 0)
    if count >= _SHARED_PREFIX * len(bare):
        bare = [name.removeprefix(head) for name in bare]
    return [_letters(name) for name in bare]


def _letters(name: str) -> str:
    text = re.sub(r"[^a-z0-9]", "", name.lower())
    return re.sub(r"^(mixamorig\d*|(cc)?base|bip0?0?1|def)", "", text) or text


def _by_names(rig: Mapping[str, str], place: Mapping[str, int]) -> dict[str, int]:
    found: dict[str, int] = {}
    for ours, theirs in rig.items():
        index = place.get(_letters(re.split(r"[:|]", theirs)[-1]))
        if index is not None and index not in found.values():
            found[ours] = index
    return found


def _hanging_together(found: dict[str, int], parents: Sequence[int]) -> dict[str, int]:
    """Without joints that do not hang below the joint that carries them on us."""
    from rigs.retarget.performance import parent_of

    kept: dict[str, int] = {}
    for ours, index in found.items():
        above = ours
        while above != "pelvis":
            above = parent_of(above)
            if above in found:
                break
        if ours == "pelvis" or above not in found or _is_below(index, found[above], parents):
            kept[ours] = index
    return kept


def _is_below(joint: int, top: int, parents: Sequence[int]) -> bool:
    while joint >= 0 and joint != top:
        joint = parents[joint]
    return joint == top
