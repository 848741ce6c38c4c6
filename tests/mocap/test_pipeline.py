"""Takes that begin anywhere: the stages that their files call for run, and no others."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from calibration import Cameras
from mocap.cli import UNUSABLE, execute
from mocap.errors import InputError
from mocap.fit.problem import FitError
from mocap.keypoints import CameraKeypoints
from mocap.pipeline import calibrate, run, run_stage
from mocap.session import Session
from mocap.sync import CameraClock, Clock
from mocap.take import Take
from mocap.video import ClipWriter
from rigs import load_body
from rigs.keypoints import KEYPOINT_SETS

NAMES = KEYPOINT_SETS["coco17"]
FRAMES = 20
RATE_HZ = 30.0


@pytest.fixture
def take(tmp_path: Path) -> Take:
    return Session.create(tmp_path / "s").take("take1")


def poses() -> tuple[np.ndarray, np.ndarray]:
    """A body that stands upright facing the world's -Y, and waves its left arm."""
    phase = np.linspace(0, 2, FRAMES)
    turned = np.zeros((FRAMES, 24, 3))
    turned[:, 0, 0] = np.pi / 2
    turned[:, 16, 2] = 0.4 * np.sin(phase)
    turned[:, 17, 2] = 1.0
    return turned.reshape(FRAMES, -1), np.tile([0.1, 0.2, 0.93], (FRAMES, 1))


def true_points() -> np.ndarray:
    """(T, K, 3) what a detector would see of that body, metres."""
    body = load_body()
    rotation, xyz = body.pose_frames(*poses(), np.zeros(body.num_betas))
    return (
        body.detector_model(NAMES, "coco17").pose(rotation, xyz, torch.zeros(16, dtype=torch.float64)).numpy()
    )


def cameras(count: int = 3) -> Cameras:
    """A ring that looks at the body from 4 m."""
    poses = []
    for angle in np.linspace(0, 2 * np.pi, count, endpoint=False) + 0.3:
        center = np.array([4 * np.cos(angle), 4 * np.sin(angle), 1.2])
        forward = np.array([0, 0, 1.0]) - center
        forward /= np.linalg.norm(forward)
        right = np.cross(forward, [0, 0, 1])
        right /= np.linalg.norm(right)
        rotation = np.stack([right, np.cross(forward, right), forward])
        poses.append(np.vstack([np.column_stack([rotation, -rotation @ center]), [0, 0, 0, 1]]))
    return Cameras(
        tuple(f"cam{index + 1}" for index in range(count)),
        torch.tensor([[1280.0, 720.0]] * count, dtype=torch.float64),
        torch.full((count, 2), 900.0, dtype=torch.float64),
        torch.tensor([[639.5, 359.5]] * count, dtype=torch.float64),
        torch.zeros(count, 4, dtype=torch.float64),
        torch.tensor(np.array(poses)),
    )


def put_keypoints(take: Take, rig: Cameras) -> None:
    xy_px = rig.project(torch.as_tensor(true_points()))[0].numpy()  # (T, C, K, 2)
    time_s = np.arange(FRAMES) / RATE_HZ
    for index, name in enumerate(rig.names):
        seen = xy_px[:, index, None]
        take.save_keypoints(name, CameraKeypoints(time_s, seen, np.ones(seen.shape[:3]), NAMES, (1280, 720)))


def put_points(take: Take) -> None:
    time_s, names = np.arange(FRAMES) / RATE_HZ, np.array(NAMES)
    np.savez(take.points_file, time_s=time_s, keypoint_names=names, xyz_world=true_points()[:, None])


def test_keypoints_without_footage_lead_to_a_bvh(take: Take) -> None:
    put_keypoints(take, cameras())
    take.session.save_cameras(cameras())
    outcome = run(take.session.root)
    assert outcome.done == tuple(
        f"take1 {stage}" for stage in ("sync", "reconstruct", "fit", "export", "report")
    )
    assert np.abs(take.load_points().xyz_world[:, 0] - true_points()).max() < 1e-3
    fitted = take.load_motion("person1").joints
    truth = load_body().pose_joints(*poses(), np.zeros(16)).numpy()
    limbs = [1, 2, 4, 5, 7, 8, 16, 17, 18, 19, 20, 21]
    assert np.linalg.norm(fitted - truth, axis=-1)[:, limbs].mean() < 0.015
    assert [path.name for path in outcome.files] == ["person1.bvh", "person1.fbx"]


def test_a_take_that_brings_its_own_cameras_needs_none_of_the_session(take: Take) -> None:
    put_keypoints(take, cameras())
    take.save_cameras(cameras())
    assert "take1 export" in run(take.session.root).done


def test_points_and_nothing_else_lead_to_a_bvh(take: Take) -> None:
    put_points(take)
    assert run(take.session.root).done == ("take1 fit", "take1 export", "take1 report")


def test_a_fit_that_breaks_leaves_the_last_motion(take: Take) -> None:
    put_points(take)
    run_stage("fit", take.session.root)
    (good,) = take.motion_files().values()
    before = good.read_bytes()
    absurd = true_points()
    absurd[11, 5] = 1e250
    time_s, names = np.arange(FRAMES) / RATE_HZ, np.array(NAMES)
    np.savez(take.points_file, time_s=time_s, keypoint_names=names, xyz_world=absurd[:, None])
    with pytest.raises(FitError, match="the term 'keypoints' is not finite at frame 11"):
        run_stage("fit", take.session.root)
    assert good.read_bytes() == before


def test_a_motion_of_amass_alone_is_exported(take: Take) -> None:
    turned, trans = poses()
    (take.folder / "motion").mkdir()
    whole = np.concatenate([turned[:, :66], np.zeros((FRAMES, 90))], 1)
    np.savez(
        take.folder / "motion" / "dancer.npz",
        poses=whole,
        trans=trans,
        betas=np.zeros(10),
        gender=np.array("male"),
        mocap_framerate=np.array(120.0),
    )
    outcome = run(take.session.root)
    assert [path.name for path in outcome.files] == ["dancer.bvh", "dancer.fbx"]
    assert "Frame Time: 0.00833333" in outcome.files[0].read_text()


def test_what_is_fresh_is_skipped_and_what_is_stale_is_made_again(take: Take) -> None:
    put_keypoints(take, cameras())
    take.session.save_cameras(cameras())
    run(take.session.root)
    before = take.points_file.read_bytes()
    again = run(take.session.root)
    assert again.done == ()
    assert len(again.skipped) == 5
    changed = run(take.session.root, overrides=["export.rig=smpl"])
    assert changed.done == ("take1 export",)
    take.points_file.unlink()
    assert "take1 reconstruct" in run(take.session.root, overrides=["export.rig=smpl"]).done
    assert take.points_file.read_bytes() == before


def test_what_was_edited_is_kept(take: Take, caplog: pytest.LogCaptureFixture) -> None:
    put_points(take)
    run(take.session.root)
    edited = take.export_files()[0]
    edited.write_text(edited.read_text() + "\n")
    outcome = run(take.session.root, overrides=["export.rig=smpl"])
    assert outcome.kept == ("take1 export",)
    assert "is kept" in caplog.text
    assert edited.read_text().endswith("\n\n")


def test_a_stage_alone_says_what_it_needs(take: Take) -> None:
    put_points(take)
    with pytest.raises(InputError, match="detect needs clips"):
        run_stage("detect", take.session.root)
    with pytest.raises(InputError, match="export needs a motion; run mocap fit"):
        run_stage("export", take.session.root)
    assert run_stage("fit", take.session.root).done == ("take1 fit",)
    assert run_stage("export", take.session.root, overrides=["export.formats=npz"]).done == ("take1 export",)


def test_a_moved_camera_makes_the_points_stale(take: Take) -> None:
    put_keypoints(take, cameras())
    take.session.save_cameras(cameras())
    run(take.session.root)
    moved = cameras()
    moved.cam_from_world[0, 0, 3] += 0.01
    take.session.save_cameras(moved)
    assert "take1 reconstruct" in run(take.session.root).done


@dataclass(frozen=True)
class Verdict:
    """What the calibration said of itself."""

    usable: bool
    rms_px: float = 0.2
    page: str = "<!doctype html>"

    def report(self) -> dict[str, object]:
        return {"rms_px": self.rms_px, "reasons": [] if self.usable else ["the board moved like jelly"]}


def test_a_calibration_that_must_not_be_trusted_stops_the_run_every_time(
    take: Take, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    session = take.session
    put_keypoints(take, cameras())
    for name in cameras().names:
        with ClipWriter(session.clips_folder("extrinsics") / f"{name}.mp4", (64, 48), 30.0) as writer:
            writer.write(np.zeros((48, 64, 3), np.uint8))
    verdict = [Verdict(True)]
    monkeypatch.setattr("mocap.calibrate.calibrate", lambda *_, **__: (cameras(), verdict[0]))
    assert "calibrate" in run(session.root).done
    assert session.calibration_report_file.with_suffix(".html").is_file()
    good = session.cameras_file.read_bytes()
    verdict[0] = Verdict(False)
    for _ in range(2):
        assert execute(["run", str(session.root), "--set", "board.square_m=0.05"]) == UNUSABLE
        assert "not to be trusted: the board moved like jelly" in capsys.readouterr().out
        assert session.cameras_file.read_bytes() == good
    verdict[0] = Verdict(True)
    assert "calibrate" in run(session.root, overrides=["board.square_m=0.05"]).done


def test_reconstruct_alone_brings_clocks_and_search_up_to_date(take: Take, monkeypatch) -> None:
    from mocap import pipeline
    from mocap.outcome import Outcome

    rig = cameras()
    take.session.save_cameras(rig)
    put_keypoints(take, rig)
    called: list[str] = []
    for name in pipeline.STAGES:
        monkeypatch.setitem(pipeline.STAGES, name, lambda *_, name=name: called.append(name) or Outcome())
    run_stage("reconstruct", take.session.root)
    assert called == ["sync", "search", "reconstruct"]


@pytest.mark.parametrize(("scale", "known"), [(1.0, True), (1.1, False)])
def test_refinement_trusts_cameras_as_far_as_their_calibration_does(
    take: Take, monkeypatch: pytest.MonkeyPatch, scale: float, known: bool
) -> None:
    session, rig = take.session, cameras()
    put_keypoints(take, rig)
    session.save_cameras(rig)
    take.save_clock(Clock({name: CameraClock(0.0) for name in rig.names}))
    # Since then the world has been moved: that changes nothing about the cameras.
    centers = (scale * rig.centers_world + torch.tensor([1.0, -2.0, 0.0])).tolist()
    places = {
        name: {"position_m": center, "pose_std_m": 0.002, "turn_std_deg": 0.04}
        for name, center in zip(rig.names, centers, strict=True)
    }
    session.save_calibration_report({"places": places})
    asked: list[Any] = []

    def solve(*_: object, pose_std: object, **__: object) -> None:
        asked.append(pose_std)
        raise InputError("enough")

    monkeypatch.setattr("mocap.refine_cameras.refine_from_take", solve)
    with pytest.raises(InputError, match="enough"):
        calibrate(session.root, refine_from=take.name)
    if known:
        ((metres, degrees),) = asked
        assert metres == pytest.approx(dict.fromkeys(rig.names, 0.005))
        assert degrees == pytest.approx(dict.fromkeys(rig.names, 0.1))
    else:
        assert asked == [None]
