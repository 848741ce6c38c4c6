from __future__ import annotations

import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from calibration.cameras import Cameras
from exporters import EXPORTERS, Character, ExportError, Take, Timecode, export
from rigs.mesh import SkinnedMesh
from rigs.rig_names import load_rig_names

from ..clients.walk import walking_character, walking_take
from .read_usd import people

pxr = pytest.importorskip("pxr")


def up_from_world(xyz: np.ndarray) -> np.ndarray:
    x, y, z = np.moveaxis(xyz, -1, 0)
    return np.stack([x, z, -y], axis=-1)


def sheet(character: Character) -> SkinnedMesh:
    """Triangles round the joints, each vertex on one to five joints."""
    generator = np.random.default_rng(4)
    rest = character.rest_xyz
    vertices = np.repeat(rest, 3, axis=0) + generator.normal(scale=0.05, size=(3 * len(rest), 3))
    weights = generator.random((len(vertices), len(rest))) ** 30
    return SkinnedMesh(
        vertices, np.arange(len(vertices)).reshape(-1, 3), weights / weights.sum(1, keepdims=True)
    )


def skinned_take(num_frames: int = 12) -> Take:
    character = walking_character("Jörg", num_frames=num_frames)
    return Take("my walk", (replace(character, mesh=sheet(character)),))


@pytest.mark.parametrize("encoding", ["usda", "usdc", "usdz"])
@pytest.mark.parametrize("rate_hz", [24000 / 1001, 30000 / 1001, 30.0, 120.0])
def test_joints_of_all_frames(encoding: str, rate_hz: float, tmp_path: Path) -> None:
    take = walking_take(num_frames=40, rate_hz=rate_hz)
    (file,) = export(take, tmp_path / f"walk.{encoding}")
    ((names, rate, joints, _),) = people(file)
    motion = take.characters[0].motion
    wanted = {name: index for index, name in enumerate(motion.joint_names)}
    ours = {rig: joint for joint, rig in load_rig_names("mixamo").items() if joint in wanted}
    truth = up_from_world(motion.joints[:, [wanted[ours[name]] for name in names]])
    assert rate == pytest.approx(rate_hz, rel=1e-12)
    assert np.abs(joints - truth).max() < 2e-6  # single precision at a few metres


@pytest.mark.parametrize(("unit", "metres"), [("m", 1.0), ("cm", 0.01)])
def test_the_skin_follows(unit: str, metres: float, tmp_path: Path) -> None:
    from rigs.kinematics import world_from_joint

    take = skinned_take()
    (character,) = take.characters
    (file,) = export(take, tmp_path / "walk.usdc", unit=unit, up="z", rig="smpl")
    ((_, _, _, vertices),) = people(file)
    assert vertices is not None
    mesh = character.mesh.strongest(4)
    rotation, joints = world_from_joint(
        torch.from_numpy(character.local_rotation),
        character.skeleton.offsets,
        character.skeleton.parents,
        torch.from_numpy(character.motion.trans),
    )
    moved = np.einsum("tjab,vjb->tvja", rotation.numpy(), mesh.vertices[:, None] - character.rest_xyz)
    truth = np.einsum("tvja,vj->tva", moved + joints.numpy()[:, None], mesh.weights)
    assert np.linalg.norm(vertices * metres - truth, axis=-1).max() < 1e-5


def test_what_the_stage_says(tmp_path: Path) -> None:
    from pxr import Usd, UsdGeom, UsdValidation

    take = replace(skinned_take(31), timecode=Timecode.parse("01:00:00:10", 30))
    (file,) = export(take, tmp_path / "walk.usdz")
    stage = Usd.Stage.Open(str(file))
    assert UsdGeom.GetStageMetersPerUnit(stage) == 1.0
    assert UsdGeom.GetStageUpAxis(stage) == "Y"
    assert (stage.GetEndTimeCode() - stage.GetStartTimeCode()) / stage.GetTimeCodesPerSecond() == 1.0
    assert stage.GetDefaultPrim().GetPath() == "/my_walk"
    assert stage.GetPrimAtPath("/my_walk/Jörg").GetCustomDataByKey("person") == "Jörg"
    assert stage.GetRootLayer().customLayerData["startTimecode"] == "01:00:00:10"
    validators = UsdValidation.ValidationRegistry().GetOrLoadAllValidators()
    errors = UsdValidation.ValidationContext(validators).Validate(stage)
    assert not errors, [error.GetMessage() for error in errors]
    with zipfile.ZipFile(file) as archive:
        assert archive.testzip() is None


def test_several_people_in_one_file_or_in_their_own(tmp_path: Path) -> None:
    take = walking_take("anna", "Ben 2", num_frames=3)
    (file,) = export(take, tmp_path / "both.usda", one_file=True)
    assert len(people(file)) == 2
    assert [path.name for path in export(take, tmp_path, format="usda")] == ["anna.usda", "Ben 2.usda"]


def test_cameras_project_as_they_were_calibrated(tmp_path: Path) -> None:
    """USD's own frustum against our projection, without distortion."""
    from pxr import Gf, Usd, UsdGeom

    cam_from_world = torch.eye(4, dtype=torch.float64)[None].repeat(2, 1, 1)
    turn = torch.tensor([[0.6, 0.8, 0.0], [0.0, 0.0, -1.0], [-0.8, 0.6, 0.0]], dtype=torch.float64)
    cam_from_world[:, :3, :3] = turn
    cam_from_world[:, :3, 3] = turn @ -torch.tensor([2.0, -3.0, 1.4], dtype=torch.float64)
    cameras = Cameras(
        names=("front", "back 1"),
        size_px=torch.tensor([[1920.0, 1080.0], [1280.0, 960.0]]),
        focal_px=torch.tensor([[1500.0, 1510.0], [900.0, 880.0]]).double(),
        center_px=torch.tensor([[1000.3, 500.7], [630.0, 490.0]]).double(),
        distortion=torch.zeros(2, 5).double(),
        cam_from_world=cam_from_world,
    )
    point = torch.tensor([[0.4, 0.2, 1.1]]).double()
    truth, valid = cameras.project(point)
    assert valid.all()
    take = replace(walking_take(num_frames=2), cameras=cameras)
    (file,) = export(take, tmp_path / "walk.usdc")
    stage = Usd.Stage.Open(str(file))
    for index, name in enumerate(("front", "back_1")):
        camera = UsdGeom.Camera(stage.GetPrimAtPath(f"/walk/cameras/{name}"))
        frustum = camera.GetCamera(0).frustum
        matrix = frustum.ComputeViewMatrix() * frustum.ComputeProjectionMatrix()
        x, y, _ = matrix.Transform(Gf.Vec3d(*up_from_world(point[0].numpy()).tolist()))
        width, height = cameras.size_px[index].tolist()
        pixel = [(x + 1) / 2 * width - 0.5, (1 - y) / 2 * height - 0.5]
        assert pixel == pytest.approx(truth[index, 0].tolist(), abs=1e-3)
        assert camera.GetPrim().GetAttribute("mocap:focal_px").Get() == list(cameras.focal_px[index].tolist())


def test_doubt_and_contacts_travel(tmp_path: Path) -> None:
    from pxr import Usd

    character = walking_character(num_frames=4)
    motion = replace(
        character.motion,
        joint_std=np.arange(96.0).reshape(4, 24) / 1000,
        contacts=np.array([[0.0], [0.5], [1.0], [1.0]]),
        contact_names=("left_toe",),
    )
    (file,) = export(Take("walk", (replace(character, motion=motion),)), tmp_path / "walk.usda", rig="smpl")
    stage = Usd.Stage.Open(str(file))
    prim = stage.GetPrimAtPath("/walk/_0/Motion")
    assert list(prim.GetAttribute("mocap:contacts").Get(1)) == [0.5]
    assert prim.GetAttribute("mocap:jointStd").Get(2)[0] == pytest.approx(0.048)
    assert list(prim.GetAttribute("mocap:contactNames").Get()) == ["left_toe"]


def test_one_line_when_the_library_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "pxr.Usd", None)
    with pytest.raises(ExportError, match=r"USD needs usd-core; pip install 'mocap-studio\[formats\]'"):
        EXPORTERS["usdc"](walking_take(num_frames=2))
