"""Real human motion on our body: clips of the CMU motion capture database, retargeted bone by bone.

The files are Acclaim's: an ``.asf`` with the skeleton, an ``.amc`` with joint angles, both Y up, facing +Z,
the person's left at +X, 120 Hz. A bone's turn in the world is that of its parent times ``C M C^-1``, with C
the bone's axes and M its angles.
"""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from rigs.body import Body

CLIPS = {
    "walk": ("02.asf", "02_01.amc"),
    "run": ("02.asf", "02_03.amc"),
    "jump": ("02.asf", "02_04.amc"),
    "playground": ("fairmotion_01.asf", "fairmotion_01_01.amc"),
}
"""Skeleton and motion of each clip."""
RATE_HZ = 120.0
_WORLD_FROM_ACCLAIM = Rotation.from_euler("x", 90, degrees=True)

_SOURCE = {
    **{"pelvis": "root", "spine1": "lowerback", "spine2": "upperback", "spine3": "thorax"},
    **{"neck": "upperneck", "head": "head"},
    **{
        f"{side}_{ours}": side[0] + theirs
        for side in ("left", "right")
        for ours, theirs in {
            **{"hip": "femur", "knee": "tibia", "ankle": "foot", "foot": "toes"},
            **{"collar": "clavicle", "shoulder": "humerus", "elbow": "radius", "wrist": "hand"},
        }.items()
    },
}
"""The bone of CMU's skeleton that each joint turns like."""


@dataclass(frozen=True)
class Bone:
    """One bone of the ``.asf``."""

    direction: np.ndarray
    length: float
    axes: Rotation
    freedoms: tuple[str, ...]


def read_asf(path: Path) -> tuple[dict[str, Bone], dict[str, str]]:
    """Bones by name, and the parent of each."""
    text = path.read_text(encoding="latin1")
    bones = {}
    for block in re.findall(r"begin\s+id(.*?)end", text, re.S):
        word = {line.split()[0]: line.split()[1:] for line in block.strip().splitlines()[1:] if line.split()}
        bones[word["name"][0]] = Bone(
            np.array(word["direction"], float),
            float(word["length"][0]),
            Rotation.from_euler("xyz", np.array(word["axis"][:3], float), degrees=True),
            tuple(word.get("dof", ())),
        )
    tree = re.search(r":hierarchy\s+begin(.*?)end", text, re.S)
    assert tree is not None
    lines = [line.split() for line in tree.group(1).strip().splitlines()]
    return bones, {child: line[0] for line in lines for child in line[1:]}


def read_amc(path: Path) -> dict[str, np.ndarray]:
    """(T, n) the numbers of each bone."""
    values: dict[str, list[list[float]]] = {}
    for line in path.read_text(encoding="latin1").splitlines():
        word = line.split()
        if len(word) > 1 and not line.startswith(("#", ":")):
            values.setdefault(word[0], []).append([float(number) for number in word[1:]])
    return {name: np.array(rows) for name, rows in values.items()}


def world_turns(
    bones: dict[str, Bone], parents: dict[str, str], values: dict[str, np.ndarray]
) -> dict[str, Rotation]:
    """Each bone's turn from its rest, in the file's world."""
    turns = {"root": Rotation.from_euler("xyz", values["root"][:, 3:], degrees=True)}
    for name, parent in parents.items():
        angles = np.zeros((len(values["root"]), 3))
        for column, freedom in enumerate(bones[name].freedoms):
            angles[:, "xyz".index(freedom[1])] = values[name][:, column]
        axes = bones[name].axes
        turns[name] = turns[parent] * (axes * Rotation.from_euler("xyz", angles, degrees=True) * axes.inv())
    return turns


def retarget(asf: Path, amc: Path, body: Body, betas: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A clip's motion on our body: its bones point where the clip's do.

    The root's path is scaled by the length of the legs, and the floor put under the lowest feet.

    Returns:
        (T, J, 3) rotation vectors and (T, 3) translation in metres, world Z up.
    """
    bones, parents = read_asf(asf)
    values = read_amc(amc)
    turns = world_turns(bones, parents, values)
    rest = body.joints_rest(betas).numpy()
    world: dict[str, Rotation] = {}
    local = np.zeros((len(values["root"]), len(body.joint_names), 3))
    for joint, name in enumerate(body.joint_names):
        parent = body.joint_names[body.parents[joint]] if joint else None
        if name in _SOURCE:
            world[name] = _WORLD_FROM_ACCLAIM * turns[_SOURCE[name]] * _rest_turn(name, body, rest, bones)
        else:
            world[name] = world[parent]
        turn = world[parent].inv() * world[name] if parent else world[name]
        local[:, joint] = turn.as_rotvec()
    legs = sum(bones[f"l{name}"].length for name in ("femur", "tibia"))
    index = [body.joint_names.index(f"left_{name}") for name in ("hip", "knee", "ankle")]
    ours = np.linalg.norm(np.diff(rest[index], axis=0), axis=-1).sum()
    trans = _WORLD_FROM_ACCLAIM.apply(values["root"][:, :3]) * ours / legs
    return local, trans


def _rest_turn(name: str, body: Body, rest: np.ndarray, bones: dict[str, Bone]) -> Rotation:
    """What turns our resting bone into theirs: direction, and at knees and elbows the hinge."""
    side, _, joint = name.partition("_")
    chains = {"hip": "knee", "knee": "ankle", "ankle": "foot", "shoulder": "elbow", "elbow": "wrist"}
    if joint not in chains:
        return Rotation.identity()
    a, b = (body.joint_names.index(f"{side}_{part}") for part in (joint, chains[joint]))
    ours, theirs = rest[b] - rest[a], bones[_SOURCE[name]].direction
    if joint == "ankle":
        hinge, their_hinge = np.array([1.0, 0, 0]), np.array([1.0, 0, 0])
    elif joint in ("hip", "knee"):
        hinge, their_hinge = np.array([1.0, 0, 0]), bones[f"{side[0]}tibia"].axes.apply([1.0, 0, 0])
    else:
        hinge = np.array([0, -1.0 if side == "left" else 1.0, 0])
        their_hinge = bones[f"{side[0]}radius"].axes.apply([1.0, 0, 0])
    return Rotation.from_matrix(_frame(theirs, their_hinge) @ _frame(ours, hinge).T)


def _frame(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    one = first / np.linalg.norm(first)
    three = np.cross(one, second)
    three /= np.linalg.norm(three)
    return np.stack([one, np.cross(three, one), three], -1)
