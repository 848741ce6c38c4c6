"""Retargeting to rigs in the performer's size and to rigs of other proportions."""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from exporters.rigged import performance_of
from rigs.errors import RigError
from rigs.retarget import Performance, Retargeted, retarget
from rigs.rig import FileRig, Rig, load_rig
from rigs.rig_names import available_rigs
from rigs.skeleton import SMPL_JOINT_NAMES, SMPL_PARENTS

from ..clients.walk import rest_places, walking_character

Array = NDArray[np.float64]
LIMBS = [
    (f"{side}_{top}", f"{side}_{end}")
    for side in ("left", "right")
    for top, end in (("hip", "knee"), ("knee", "ankle"), ("shoulder", "elbow"), ("elbow", "wrist"))
]


@pytest.fixture(scope="module")
def walk() -> Performance:
    return performance_of(walking_character(num_frames=90))


def giant(widths: float = 1.3, shank: float = 1.25, thigh: float = 1.1, arm: float = 0.8) -> Rig:
    """A character of other proportions, resting with its arms half down and its legs apart."""
    rest = rest_places()
    rest = rest - [0.0, rest[:, 1].min() - 0.02, 0.0]
    index = {name: place for place, name in enumerate(SMPL_JOINT_NAMES)}
    offsets = rest.copy()
    for joint, parent in enumerate(SMPL_PARENTS):
        if parent >= 0:
            offsets[joint] = rest[joint] - rest[parent]
    for side, sign in (("left", -1.0), ("right", 1.0)):
        offsets[index[f"{side}_hip"]] *= [widths, 1.0, 1.0]
        offsets[index[f"{side}_knee"]] *= thigh
        offsets[index[f"{side}_ankle"]] *= shank
        down = Rotation.from_euler("z", sign * 40, degrees=True)
        for part in ("elbow", "wrist", "hand"):
            offsets[index[f"{side}_{part}"]] = down.apply(offsets[index[f"{side}_{part}"]]) * arm
        out = Rotation.from_euler("z", -sign * 5, degrees=True)
        for part in ("knee", "ankle"):
            offsets[index[f"{side}_{part}"]] = out.apply(offsets[index[f"{side}_{part}"]])
    places = offsets.copy()
    for joint, parent in enumerate(SMPL_PARENTS):
        if parent >= 0:
            places[joint] += places[parent]
    places[:, 1] -= places[:, 1].min() - 0.02
    names = {name: f"giant_{name}" for name in SMPL_JOINT_NAMES}
    own = FileRig(tuple(names.values()), SMPL_PARENTS, places, np.tile(np.eye(3), (24, 1, 1)))
    return Rig("giant", names, own=own)


def direction_errors_deg(source: Performance, result: Retargeted) -> Array:
    """(T, limbs) angles between the limbs of source and target."""
    errors: list[Array] = []
    for top, end in LIMBS:
        theirs = result.xyz[:, result.target.index(end) or 0] - result.xyz[:, result.target.index(top) or 0]
        ours = source.place(end) - source.place(top)
        cosine = (theirs * ours).sum(-1) / np.linalg.norm(theirs, axis=-1) / np.linalg.norm(ours, axis=-1)
        errors.append(np.rad2deg(np.arccos(np.clip(cosine, -1, 1))))
    return np.stack(errors, -1)


@pytest.mark.parametrize("rig", available_rigs())
def test_limbs_point_as_they_did(rig: str, walk: Performance) -> None:
    result = retarget(walk, load_rig(rig))
    assert direction_errors_deg(walk, result).max() < 0.01
    for joint in ("pelvis", "left_ankle", "right_foot"):
        assert np.abs(result.xyz[:, result.target.index(joint) or 0] - walk.place(joint)).max() < 1e-9


@pytest.mark.parametrize("rig", available_rigs())
def test_there_and_back(rig: str, walk: Performance) -> None:
    result = retarget(walk, load_rig(rig))
    back = performance_from(result, walk)
    body = FileRig(SMPL_JOINT_NAMES, SMPL_PARENTS, walk.rest_xyz, np.tile(np.eye(3), (24, 1, 1)))
    again = retarget(back, Rig("body", {name: name for name in SMPL_JOINT_NAMES}, own=body))
    for index, joint in enumerate(again.target.joints):
        if joint.ours in back.names:
            turn = np.swapaxes(walk.turn_of(joint.ours), -1, -2) @ again.turn[:, index]
            assert np.rad2deg(Rotation.from_matrix(turn).magnitude()).max() < 0.05, (
                joint.ours
            )  # soles come up to the floor


def performance_from(result: Retargeted, source: Performance) -> Performance:
    """What the rig does, read back by its own rest pose and the names of its joints; twist joints join."""
    rolled = {joint.extra.under: index for index, joint in enumerate(result.target.joints)
              if joint.extra and joint.extra.kind == "twist"}  # fmt: skip
    rows = [index for index, joint in enumerate(result.target.joints) if joint.ours]
    names = tuple(result.target.joints[index].ours for index in rows)
    turn = result.turn[:, [rolled.get(name, row) for name, row in zip(names, rows, strict=True)]]
    return Performance(names, result.target.rest_xyz[rows], turn, result.xyz[:, rows], source.rate_hz)


def test_twist_is_shared_out_and_keeps_the_place(walk: Performance) -> None:
    """The Daz arm leaves its roll to the joint behind: together they turn as ours."""
    result = retarget(walk, load_rig("daz"))
    names = [joint.name for joint in result.target.joints]
    bend, twist = names.index("rShldrBend"), names.index("rShldrTwist")
    along = result.target.rest_xyz[names.index("rForearmBend")] - result.target.rest_xyz[bend]
    local = np.swapaxes(walk.turn_of("right_collar"), -1, -2) @ result.turn[:, bend]
    quaternion = Rotation.from_matrix(local).as_quat()
    assert np.abs(quaternion[:, :3] @ along / np.linalg.norm(along)).max() < 1e-9
    assert np.allclose(result.turn[:, twist], walk.turn_of("right_shoulder"), atol=1e-12)


@pytest.mark.parametrize("window_s", [20.0, 1.0])
def test_an_own_rig_in_an_a_pose_with_contacts(window_s: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Feet that stand stay, nothing goes through the floor, limbs keep their directions; in windows too."""
    monkeypatch.setattr(import_module("rigs.retarget.settle"), "_WINDOW_S", window_s)
    source = stepping()
    result = retarget(source, giant(shank=1.15))
    assert direction_errors_deg(source, result).max() < 0.1
    for side in ("left", "right"):
        ankle = result.xyz[:, result.target.index(f"{side}_ankle") or 0]
        stands = source.contacts[f"{side}_heel"] > 0.5
        edges = np.flatnonzero(np.diff(np.r_[0, stands, 0]))
        slips = [
            np.linalg.norm(np.ptp(ankle[a:b], axis=0)) for a, b in zip(edges[::2], edges[1::2], strict=True)
        ]
        assert max(slips) < 0.0005, slips
        sole = ankle[:, 2] - result.target.rest_xyz[result.target.index(f"{side}_ankle") or 0, 1]
        assert sole.min() > -0.0005


def stepping() -> Performance:
    """Weight shifted from foot to foot while both stand, then a step with each, the soles flat."""
    character = walking_character(num_frames=1)
    base = performance_of(character)
    time_s = np.arange(120) / 30
    names = base.names
    rest = dict(zip(names, base.rest_xyz, strict=True))
    world = np.array([[1.0, 0, 0], [0, 0, -1.0], [0, 1.0, 0]])
    travel = np.zeros((len(time_s), 3))
    travel[:, 0] = 0.05 * np.sin(2 * time_s)
    travel[:, 1] = -0.25 * (1 - np.cos(np.pi * np.clip(time_s - 1, 0, 2) / 2))
    travel[:, 2] = -0.11 + 0.02 * np.cos(3 * time_s)
    pelvis = rest["pelvis"] @ world.T + travel
    turn = np.tile(world, (len(time_s), len(names), 1, 1))
    xyz = pelvis[:, None] + (base.rest_xyz - rest["pelvis"]) @ world.T
    contacts = {}
    for side, start in (("left", 1.0), ("right", 2.0)):
        lift = np.clip(time_s - start, 0, 1)
        moving = (time_s > start) & (time_s < start + 1)
        step = np.zeros((len(time_s), 3))
        step[:, 1] = -0.5 * (1 - np.cos(np.pi * lift)) / 2
        step[:, 2] = 0.08 * np.sin(np.pi * lift) ** 2
        goal = rest[f"{side}_ankle"] @ world.T + step
        contacts |= {f"{side}_{part}": (~moving).astype(float) for part in ("heel", "foot")}
        hip, knee, ankle, foot = (names.index(f"{side}_{p}") for p in ("hip", "knee", "ankle", "foot"))
        first = np.linalg.norm(rest[f"{side}_knee"] - rest[f"{side}_hip"])
        second = np.linalg.norm(rest[f"{side}_ankle"] - rest[f"{side}_knee"])
        reach = np.linalg.norm(goal - xyz[:, hip], axis=-1)
        assert reach.max() < first + second
        along = (goal - xyz[:, hip]) / reach[:, None]
        run = (first**2 + reach**2 - second**2) / (2 * reach)
        ahead = np.array([0.0, -1.0, 0.0]) - along * along[:, 1:2] * -1.0
        ahead /= np.linalg.norm(ahead, axis=-1, keepdims=True)
        middle = xyz[:, hip] + along * run[:, None] + ahead * np.sqrt(first**2 - run**2)[:, None]
        for joint, run_now, at_rest in (
            (hip, middle - xyz[:, hip], rest[f"{side}_knee"] - rest[f"{side}_hip"]),
            (knee, goal - middle, rest[f"{side}_ankle"] - rest[f"{side}_knee"]),
        ):
            for t in range(len(time_s)):
                aim = Rotation.align_vectors([run_now[t]], [world @ at_rest])[0]
                turn[t, joint] = aim.as_matrix() @ world
        xyz[:, knee], xyz[:, ankle] = middle, goal
        xyz[:, foot] = goal + world @ (rest[f"{side}_foot"] - rest[f"{side}_ankle"])
    return Performance(names, base.rest_xyz, turn, xyz, 30.0, contacts)


def test_root_on_the_floor_and_in_place(walk: Performance) -> None:
    full = retarget(walk, load_rig("unreal"))
    names = [joint.name for joint in full.target.joints]
    root, pelvis, ik = names.index("root"), names.index("pelvis"), names.index("ik_foot_l")
    assert np.abs(full.xyz[:, root]).max() < 5e-5
    assert np.allclose(full.xyz[:, ik], full.xyz[:, names.index("foot_l")])
    ground = retarget(walk, load_rig("unreal").with_options(root_motion="ground"))
    assert np.allclose(ground.xyz[:, pelvis], full.xyz[:, pelvis])
    assert np.allclose(ground.xyz[:, root, :2], full.xyz[:, pelvis, :2], atol=5e-5)
    assert np.abs(ground.xyz[:, root, 2]).max() < 1e-12
    still = retarget(walk, load_rig("unreal").with_options(root_motion="in place"))
    assert np.ptp(still.xyz[:, pelvis, :2], axis=0).max() < 1e-12
    assert np.allclose(still.xyz[:, pelvis, 2], full.xyz[:, pelvis, 2])


def test_hands_that_touch_stay_together(walk: Performance) -> None:
    """On a character with short arms and broad shoulders."""
    left, right = walk.index("left_wrist"), walk.index("right_wrist")
    assert left != right
    together = clapping()
    result = retarget(together, giant(arm=0.9))
    apart = [
        result.xyz[:, result.target.index(f"{side}_wrist") or 0]
        for side in ("left", "right")
    ]  # fmt: skip
    source = together.place("left_wrist") - together.place("right_wrist")
    found = apart[0] - apart[1]
    assert np.linalg.norm(found - source * result.target.scale, axis=-1)[20:40].max() < 0.01


def clapping() -> Performance:
    """Arms that come together before the chest and part again."""
    base = performance_of(walking_character(num_frames=1))
    time_s = np.arange(60) / 30
    world = np.array([[1.0, 0, 0], [0, 0, -1.0], [0, 1.0, 0]])
    turn = np.tile(world, (60, len(base.names), 1, 1))
    close = np.deg2rad(88) * np.clip(1.5 - 1.5 * np.abs(time_s - 1), 0, 1)
    for side, sign in (("left", -1.0), ("right", 1.0)):
        for part, share in (("shoulder", 0.92), ("elbow", 1.5), ("wrist", 1.5), ("hand", 1.5)):
            swing = Rotation.from_euler("y", (sign * share * close)[:, None])
            turn[:, base.index(f"{side}_{part}")] = world @ swing.as_matrix()
    offsets = base.rest_xyz.copy()
    xyz = np.zeros((60, len(base.names), 3))
    for joint, parent in enumerate(SMPL_PARENTS):
        if parent < 0:
            xyz[:, joint] = world @ base.rest_xyz[joint]
        else:
            offsets[joint] = base.rest_xyz[joint] - base.rest_xyz[parent]
            xyz[:, joint] = xyz[:, parent] + turn[:, parent] @ offsets[joint]
    return Performance(base.names, base.rest_xyz, turn, xyz, 30.0, {"left_heel": np.ones(60)})


def test_one_frame(walk: Performance) -> None:
    one = Performance(walk.names, walk.rest_xyz, walk.turn[:1], walk.xyz[:1], walk.rate_hz)
    for rig in (load_rig("unreal").with_options(root_motion="ground"), giant()):
        assert np.isfinite(retarget(one, rig).xyz).all()


def test_legs_without_length_are_refused(walk: Performance) -> None:
    rig = giant()
    assert rig.own is not None
    flat = replace(rig, own=replace(rig.own, rest_xyz=np.zeros_like(rig.own.rest_xyz)))
    with pytest.raises(RigError, match="the legs of rig giant have no length"):
        retarget(walk, flat)
