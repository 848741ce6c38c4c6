"""Motions that are known, recovered from their keypoints."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from mocap.errors import InputError
from mocap.fit import assemble, fit
from mocap.fit.problem import FitError
from mocap.keypoints import Keypoints3D
from mocap.settings import FitSettings
from rigs.body import Body
from rigs.keypoints import KEYPOINT_SETS, mirrored_name

LIMBS = ("left_elbow", "right_wrist", "left_knee", "right_ankle", "left_shoulder", "right_hip")
IN_THE_AIR = FitSettings(floor=False, correlation_s=0.0)
"""The test's people float, and their noise is white."""


@pytest.fixture
def firm_offsets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keypoints lie exactly where the body has them."""
    on_body = assemble.keypoints_on_body

    def firm(body, names):
        points, which = on_body(body, names)
        return replace(points, sigma_m=torch.full_like(points.sigma_m, 1e-5)), which

    monkeypatch.setattr("mocap.fit.stage.keypoints_on_body", firm)


@pytest.mark.parametrize(
    "root", [Rotation.from_euler("x", 90, degrees=True), Rotation.from_euler("x", -90, degrees=True)]
)
def test_exact_keypoints_give_exact_limbs_any_side_up(
    root: Rotation, body: Body, make_truth, firm_offsets
) -> None:
    truth = make_truth(40, root=root)
    motions, summary = fit(truth.points, body, settings=replace(IN_THE_AIR, floor_sd_m=0.002))
    assert truth.limb_error_mm(body, motions[0].joints).mean() < 1.0
    assert summary.usable
    assert summary.people[0].residual_mm["p50"] < 1.0


def test_noisy_keypoints_give_limbs_better_than_the_noise(body: Body, make_truth) -> None:
    truth = make_truth(60, noise_m=0.015)  # 24 mm in space
    motions, summary = fit(truth.points, body, settings=IN_THE_AIR)
    assert truth.limb_error_mm(body, motions[0].joints).mean() < 11.0
    assert summary.people[0].why_stopped == "converged"


def test_outliers_hardly_matter(body: Body, make_truth) -> None:
    truth = make_truth(40, noise_m=0.01)
    clean = truth.limb_error_mm(body, fit(truth.points, body, settings=IN_THE_AIR)[0][0].joints).mean()
    random = np.random.default_rng(1)
    wild = random.random(truth.points.xyz_world.shape[:3]) < 0.05
    truth.points.xyz_world[wild] += random.normal(0, 0.5, (int(wild.sum()), 3))
    dirty = truth.limb_error_mm(body, fit(truth.points, body, settings=IN_THE_AIR)[0][0].joints).mean()
    assert dirty < clean + 2.0


def test_the_motion_is_whole_and_agrees_with_the_body(body: Body, make_truth) -> None:
    truth = make_truth(20, rate_hz=50.0)
    motion = fit(truth.points, body, settings=IN_THE_AIR)[0][0]
    again = body.pose_joints(motion.poses, motion.trans, motion.betas).numpy()
    assert np.allclose(again, motion.joints, atol=1e-9)
    assert motion.mocap_framerate == pytest.approx(50.0)
    assert motion.contacts.shape == (20, 8)
    assert motion.contact_names[:4] == ("left_heel", "left_foot", "right_heel", "right_foot")
    assert np.isfinite(motion.joint_std).all()
    assert motion.body == "default"


def test_the_same_input_gives_the_same_bytes(body: Body, make_truth) -> None:
    truth = make_truth(15, noise_m=0.01)
    first, second = (fit(truth.points, body)[0][0] for _ in range(2))
    assert all(np.array_equal(a, second.to_arrays()[key], equal_nan=a.dtype.kind == "f")
               for key, a in first.to_arrays().items())  # fmt: skip


@pytest.mark.parametrize("frames", [1, 2, 3])
def test_the_shortest_takes_work(frames: int, body: Body, make_truth) -> None:
    truth = make_truth(frames)
    motions, _ = fit(truth.points, body)
    assert motions[0].joints.shape == (frames, 24, 3)
    assert truth.limb_error_mm(body, motions[0].joints).mean() < 12


def test_gaps_are_bridged_with_growing_uncertainty(body: Body, make_truth) -> None:
    truth = make_truth(45)
    truth.points.xyz_world[15:24] = np.nan  # 0.3 s in which nothing is seen
    truth.points.xyz_world[:, 0, 20:22] = np.nan  # and keypoints that are never seen
    motion = fit(truth.points, body, settings=IN_THE_AIR)[0][0]
    error = truth.limb_error_mm(body, motion.joints)
    assert error[15:24].mean() < 60
    assert error[:15].mean() < 8
    wrist = body.joint_names.index("left_wrist")
    assert motion.joint_std[19, wrist] > 3 * motion.joint_std[8, wrist]
    jumps = np.linalg.norm(np.diff(motion.joints, axis=0), axis=-1).max()
    truth_jumps = np.linalg.norm(np.diff(truth.joints, axis=0), axis=-1).max()
    assert jumps < 1.3 * truth_jumps


def test_a_person_seen_late_is_not_flung_away_before(body: Body, make_truth) -> None:
    truth = make_truth(60)
    truth.points.xyz_world[:30] = np.nan
    motion = fit(truth.points, body, settings=IN_THE_AIR)[0][0]
    assert np.linalg.norm(motion.trans[0] - motion.trans[30]) < 1.5


def test_mirrored_keypoints_give_the_mirrored_motion(body: Body, make_truth) -> None:
    truth = make_truth(20)
    names = truth.points.keypoint_names
    order = [names.index(mirrored_name(name)) for name in names]
    flip = np.array([-1.0, 1.0, 1.0])
    mirrored = replace(truth.points, xyz_world=truth.points.xyz_world[:, :, order] * flip)
    one, other = (fit(points, body, settings=IN_THE_AIR)[0][0] for points in (truth.points, mirrored))
    joints = [body.joint_names.index(mirrored_name(name)) for name in body.joint_names]
    # the shipped body is symmetric to 0.1 mm, its shape space nearly so
    off = np.linalg.norm(other.joints[:, joints] * flip - one.joints, axis=-1)
    assert off.max() < 0.004


@pytest.mark.parametrize("name", ["coco17", "halpe26", "body25", "body25b"])
def test_every_keypoint_set_works(name: str, body: Body, make_truth) -> None:
    truth = make_truth(20, names=KEYPOINT_SETS[name], keypoint_set=name)
    motions, _ = fit(truth.points, body, settings=IN_THE_AIR)
    assert truth.limb_error_mm(body, motions[0].joints).mean() < 15


def test_offsets_of_keypoints_are_found(body: Body, make_truth) -> None:
    truth = make_truth(40)
    index = truth.points.keypoint_names.index("left_shoulder")
    clean = fit(truth.points, body, settings=IN_THE_AIR)
    shoulder = body.joint_names.index("left_shoulder")
    # a landmark 20 mm higher above the shoulder, in the collar's frame, in every frame
    rotation, _ = body.pose_frames(truth.poses, truth.trans, truth.betas)
    collar = rotation[:, body.joint_names.index("left_collar")].numpy()
    truth.points.xyz_world[:, 0, index] += collar @ np.array([0.0, 0.02, 0.0])
    moved = fit(truth.points, body, settings=IN_THE_AIR)
    change = np.subtract(
        moved[1].people[0].offsets_mm["left_shoulder"], clean[1].people[0].offsets_mm["left_shoulder"]
    )
    assert change[1] > 6
    assert (
        np.linalg.norm(moved[0][0].joints[:, shoulder] - clean[0][0].joints[:, shoulder], axis=-1).mean()
        < 0.012
    )


def test_the_standard_deviation_tells_the_error(body: Body, make_truth) -> None:
    """Gaussian noise of known size, shape and offsets drawn from their prior: errors and promises agree.

    Not quite: these motions swing all joints alike about all axes, which people do not, as the fit knows.
    """
    settings = FitSettings(floor=False, correlation_s=0.0, floor_sd_m=1e-3, tail=0.0)
    ratios = []
    for seed in range(8):
        truth = make_truth(20, noise_m=0.012, seed=seed, offset_sigmas=1.0)
        motion = fit(truth.points, body, settings=settings)[0][0]
        which = [body.joint_names.index(name) for name in LIMBS]
        error = (motion.joints - truth.joints)[:, which]
        ratios.append(np.abs(error) / motion.joint_std[:, which, None])
    inside = np.mean(np.concatenate(ratios) < 1), np.mean(np.concatenate(ratios) < 2)
    assert 0.54 < inside[0] < 0.85
    assert 0.85 < inside[1] < 1.0


def test_feet_stand_still_and_do_not_sink(body: Body) -> None:
    """A person who stands, knees bending, while noise shakes the keypoints."""
    random, frames = np.random.default_rng(2), 60
    poses = np.zeros((frames, 24, 3))
    poses[:, 0] = [np.pi / 2, 0, 0]
    poses[:, 16, 2], poses[:, 17, 2] = -1.2, 1.2
    trans = np.zeros((frames, 3))
    rotation, joints = body.pose_frames(poses.reshape(frames, -1), trans, np.zeros(16))
    trans[:, 2] = -float(body.v_template[:, 1].min()) - 0.006  # the feet a little under the floor
    rotation, joints = body.pose_frames(poses.reshape(frames, -1), trans, np.zeros(16))
    names = KEYPOINT_SETS["blazepose33"]
    seen = body.detector_model(names).pose(rotation, joints, torch.zeros(16).double()).numpy()
    seen += random.normal(0, 0.015, seen.shape)
    points = Keypoints3D(
        np.arange(frames) / 30, np.array([3]), names, seen[:, None],
        np.broadcast_to(np.eye(3) * 0.015**2, (frames, 1, 33, 3, 3)).copy(),
        np.zeros((frames, 1, 33)), np.full((frames, 1, 33), 4),
    )  # fmt: skip
    results = [fit(points, body, settings=FitSettings(floor=floor)) for floor in (True, False)]
    vertices = [body.skin(m[3].poses, m[3].trans, m[3].betas)[0][..., 2].numpy() for m, _ in results]
    assert vertices[0].min() > -0.014
    assert vertices[0].min(1).max() < 0.012
    foot = [body.joint_names.index(f"{side}_ankle") for side in ("left", "right")]
    slip = [np.abs(np.diff(m[3].joints[:, foot], axis=0)).mean() for m, _ in results]
    assert slip[0] < slip[1]
    assert slip[0] < 0.0005
    assert results[0][0][3].contacts[:, :4].mean() > 0.9
    assert results[0][1].people[3].floor == "used"
    assert results[1][1].people[3].floor == "off"
    assert results[1][0][3].contacts.max() == 0


def test_a_floor_that_is_elsewhere_is_not_believed(body: Body, make_truth) -> None:
    summary = fit(make_truth(10).points, body)[1]
    assert summary.people[0].floor.startswith("not believed: the feet's lowest is at")


def test_people_are_told_apart_and_the_unseen_left_out(body: Body, make_truth) -> None:
    one, two = make_truth(8, seed=1).points, make_truth(8, seed=2).points
    missing = np.full_like(one.xyz_world, np.nan)
    points = Keypoints3D(
        one.time_s, np.array([4, 7, 9]), one.keypoint_names,
        *(np.concatenate(parts, 1) for parts in (
            (one.xyz_world, missing, two.xyz_world), (one.covariance,) * 2 + (two.covariance,),
            (one.error_px,) * 3, (one.num_views,) * 3,
        )),
    )  # fmt: skip
    motions, summary = fit(points, body)
    assert list(motions) == [4, 9]
    assert summary.left_out == {7: "never seen with 4 keypoints at once"}


def test_bad_input_is_told_in_one_line(body: Body, make_truth) -> None:
    points = make_truth(5).points
    with pytest.raises(InputError, match="time does not increase at frame 2"):
        fit(replace(points, time_s=np.array([0, 0.1, 0.1, 0.2, 0.3])), body)
    with pytest.raises(InputError, match="nobody is seen"):
        fit(replace(points, xyz_world=points.xyz_world * np.nan), body)
    with pytest.raises(InputError, match="belong to no known set"):
        fit(replace(points, keypoint_names=tuple(f"thing{i}" for i in range(33))), body)


@pytest.mark.parametrize("frame", [6, 7])  # of the frames that are solved first, and of the others
def test_a_solve_that_breaks_names_person_term_and_frame(frame: int, body: Body, make_truth) -> None:
    points = make_truth(12).points
    points.xyz_world[frame, 0, 5] = [1e250, 1e250, -1e250]  # finite, but not its square
    told = rf"person 0: fit: the term 'keypoints' is not finite at frame {frame}; is a keypoint there absurd"
    with pytest.raises(FitError, match=told):
        fit(points, body)


def test_frames_count_from_the_start_of_the_take(body: Body, make_truth) -> None:
    """Also for a person who comes late."""
    points = make_truth(12).points
    both = replace(
        points, person=np.array([0, 4]),
        **{name: np.concatenate([value := getattr(points, name), value], 1).copy()
           for name in ("xyz_world", "covariance", "error_px", "num_views")},
    )  # fmt: skip
    both.xyz_world[:4, 1] = np.nan
    both.xyz_world[9, 1, 5] = [1e250, 1e250, -1e250]
    with pytest.raises(FitError, match=r"person 4: .* at frame 9"):
        fit(both, body)


def test_an_impossible_frame_harms_only_itself(body: Body, make_truth) -> None:
    truth = make_truth(40, noise_m=0.005)
    clean = fit(truth.points, body, settings=IN_THE_AIR)[0][0].joints
    truth.points.xyz_world[20] += 1000.0  # a kilometre away for a thirtieth of a second
    broken = fit(truth.points, body, settings=IN_THE_AIR)[0][0].joints
    apart_mm = 1000 * np.linalg.norm(broken - clean, axis=-1).max(1)
    assert np.delete(apart_mm, range(17, 24)).max() < 5.0
    assert apart_mm.max() < 100.0
