from dataclasses import replace

import numpy as np
import pytest
import torch

from mocap.errors import ConfigError, InputError
from mocap.observations import Observations, deviation
from mocap.reconstruct import observe, reconstruct
from mocap.settings import ReconstructSettings
from mocap.sides import follow_swaps
from mocap.sync import CameraClock, Clock


def miss_m(stage, points, actor: int = 0) -> np.ndarray:
    return np.linalg.norm(points.xyz_world[:, 0] - stage.actors[actor].at(points.time_s), axis=-1)


def test_a_hundred_frames_at_60_hz_exactly(make_stage) -> None:
    stage = make_stage(frames=100)
    points, summary = reconstruct(stage.keypoints, stage.cameras, stage.clock)
    assert points.xyz_world.shape == (100, 1, 19, 3)
    assert points.covariance.shape == (100, 1, 19, 3, 3)
    assert (summary.frames, summary.rate_hz, summary.coverage) == (100, 60.0, 1.0)
    assert miss_m(stage, points).max() < 5e-4
    assert (points.num_views == 4).all()
    assert summary.notes == ()


def test_offsets_drift_and_mixed_rates(make_stage, actor_type) -> None:
    """Each camera's frames lie elsewhere in time."""
    clocks = {"a": CameraClock(0.1203, 50.0), "b": CameraClock(-0.0071), "c": CameraClock(0.333)}
    stage = make_stage(
        [actor_type(place=(-0.5, 0.0), speed=(1.0, 0.3))],
        frames=120,
        rate_hz={"a": 60.0, "b": 50.0, "c": 60.0, "d": 60000 / 1001},
        clocks=clocks,
    )
    points, summary = reconstruct(stage.keypoints, stage.cameras, stage.clock)
    assert summary.rate_hz == pytest.approx(60.0, rel=2e-3)
    assert np.nanmax(miss_m(stage, points)) < 0.004
    assert np.nanmedian(miss_m(stage, points)) < 0.0005
    assert summary.coverage > 0.99
    deaf = Clock({name: CameraClock() for name in stage.keypoints})
    wrong, _ = reconstruct(stage.keypoints, stage.cameras, deaf)
    assert np.nanmedian(miss_m(stage, wrong)) > 0.005, "the test above would see ignored clocks"


def test_a_rate_can_be_asked_for(make_stage) -> None:
    stage = make_stage(frames=61)
    points, _ = reconstruct(
        stage.keypoints, stage.cameras, stage.clock, settings=ReconstructSettings(rate_hz=25.0)
    )
    np.testing.assert_allclose(points.time_s, np.arange(26) / 25)
    assert miss_m(stage, points).max() < 0.002


def test_the_actor_and_then_the_bystander(make_stage, actor_type) -> None:
    stage = make_stage([actor_type(), actor_type(place=(-1.2, 0.9), size=0.9)], frames=60, noise_px=2.0)
    points, summary = reconstruct(stage.keypoints, stage.cameras, stage.clock)
    assert points.xyz_world.shape[1] == 2
    assert np.nanmedian(miss_m(stage, points)) < 0.01
    assert summary.people == 2
    assert summary.notes == ()


def test_people_who_cross_keep_their_places(make_stage, actor_type) -> None:
    stage = make_stage(
        [
            actor_type(place=(0.1, -1.0), speed=(0.0, 1.0)),
            actor_type(place=(-0.7, 1.0), speed=(0.0, -1.0), size=0.85),
        ],
        frames=120,
        noise_px=2.0,
    )
    points, _ = reconstruct(stage.keypoints, stage.cameras, stage.clock)
    assert np.nanquantile(miss_m(stage, points), 0.99) < 0.05
    assert np.isfinite(points.xyz_world).all()


def test_wrong_views_are_rejected_and_counted(make_stage) -> None:
    stage = make_stage(frames=60, noise_px=1.0)
    stage.keypoints["b"].xy_px[10:20, 0, 5] += 200.0
    points, summary = reconstruct(stage.keypoints, stage.cameras, stage.clock)
    assert (points.num_views[10:20, 0, 5] == 3).all()
    assert summary.cameras["b"].rejected == 10
    assert summary.cameras["a"].rejected == 0
    assert summary.cameras["a"].seen == 60 * 19
    assert miss_m(stage, points)[10:20, 5].max() < 0.02
    assert 0.3 < summary.cameras["a"].median_error_px < 1.5


def test_short_gaps_are_bridged_and_long_ones_stay_open(make_stage) -> None:
    stage = make_stage(frames=120, noise_px=1.0)
    for name in "abcd":
        stage.keypoints[name].xy_px[20:25, 0, 3] = np.nan
        stage.keypoints[name].xy_px[50:110, 0, 7] = np.nan
    points, summary = reconstruct(stage.keypoints, stage.cameras, stage.clock)
    assert np.isfinite(points.xyz_world[20:25, 0, 3]).all()
    assert (points.num_views[20:25, 0, 3] == 0).all()
    assert np.isnan(points.error_px[20:25, 0, 3]).all()
    spread = np.trace(points.covariance[:, 0], axis1=-2, axis2=-1) ** 0.5
    assert spread[22, 3] > 1.05 * spread[30, 3], "the rest of the head says where an ear is"
    assert miss_m(stage, points)[20:25, 3].max() < 4 * spread[22, 3]
    assert np.isnan(points.xyz_world[70:90, 0, 7]).all(), "nobody knows where it went"
    assert (points.num_views[70:90, 0, 7] == 0).all()
    assert np.isnan(points.covariance[70:90, 0, 7]).all()
    assert 5 <= summary.bridged <= 5 + 30
    assert summary.coverage < 1


def test_left_and_right_are_put_back(make_stage) -> None:
    stage = make_stage(frames=40, noise_px=1.0)
    names = stage.keypoints["a"].keypoint_names
    mirror = [
        names.index(n.replace("left", "@").replace("right", "left").replace("@", "right")) for n in names
    ]
    view = stage.keypoints["c"]
    view.xy_px[5:12] = view.xy_px[5:12][:, :, mirror]
    legs = [k for k, n in enumerate(names) if any(w in n for w in ("hip", "knee", "ankle", "heel", "toe"))]
    view.xy_px[20:25, :, legs] = view.xy_px[20:25][:, :, [mirror[k] for k in legs]]
    points, summary = reconstruct(stage.keypoints, stage.cameras, stage.clock)
    assert summary.cameras["c"].swapped == 12
    assert sum(camera.swapped for camera in summary.cameras.values()) == 12
    assert (points.num_views == 4).all()
    assert miss_m(stage, points).max() < 0.02


def test_nothing_is_exchanged_in_good_views(make_stage) -> None:
    stage = make_stage(frames=40, noise_px=8.0)
    _, summary = reconstruct(stage.keypoints, stage.cameras, stage.clock)
    assert all(camera.swapped == 0 for camera in summary.cameras.values())
    own, crossed = np.full((3, 1, 2), 1.0), np.full((3, 1, 2), 1.0)
    crossed[1] = 400.0
    names = ("left_hip", "right_hip")
    assert not follow_swaps(own, crossed, names).any()
    assert follow_swaps(crossed, own, names).all(2).any(1).tolist() == [False, False, False]
    many = np.repeat(crossed, 6, 2), np.repeat(own, 6, 2)
    pairs = tuple(f"{side}_{k}_hip" for k in range(6) for side in ("left", "right"))
    assert follow_swaps(*many, pairs).any(2).any(1).tolist() == [False, True, False]


def test_a_wrong_view_of_two_does_not_throw_a_point_about(make_stage) -> None:
    stage = make_stage(cameras=2, frames=40, noise_px=0.5)
    truth = stage.actors[0].at(stage.keypoints["a"].time_s)
    moved = truth.copy()
    moved[20, 4] += [0.0, 0.4, 0.0]
    away = stage.cameras.project(torch.as_tensor(moved))[0].numpy()
    for index, name in enumerate("ab"):
        stage.keypoints[name].xy_px[20, 0, 4] = away[20, index, 4]
    points, _ = reconstruct(
        stage.keypoints, stage.cameras, stage.clock, settings=ReconstructSettings(min_angle_deg=1.0)
    )
    assert miss_m(stage, points)[20, 4] < 0.03
    assert points.num_views[20, 0, 4] == 0
    assert (points.num_views[np.arange(40) != 20] == 2).mean() > 0.99


def test_cameras_in_any_order_give_the_same_points(make_stage, actor_type) -> None:
    stage = make_stage([actor_type(), actor_type(place=(-1.2, 0.9))], frames=40, noise_px=3.0)
    points, _ = reconstruct(stage.keypoints, stage.cameras, stage.clock)
    turned = {name: stage.keypoints[name] for name in "dbca"}
    again, summary = reconstruct(turned, stage.cameras[["b", "d", "a", "c"]], stage.clock)
    np.testing.assert_allclose(again.xyz_world, points.xyz_world, atol=1e-8)
    assert list(summary.cameras) == list("dbca")


def test_keypoints_in_another_order_are_matched_by_name(make_stage) -> None:
    stage = make_stage(frames=20)
    view = stage.keypoints["b"]
    backwards = replace(
        view,
        xy_px=view.xy_px[:, :, ::-1],
        score=view.score[:, :, ::-1],
        keypoint_names=view.keypoint_names[::-1],
    )
    points, _ = reconstruct(stage.keypoints | {"b": backwards}, stage.cameras, stage.clock)
    assert miss_m(stage, points).max() < 5e-5


def test_progress_is_told(make_stage) -> None:
    told: list[tuple[str, float, float | None]] = []
    stage = make_stage(frames=20)
    reconstruct(
        stage.keypoints,
        stage.cameras,
        stage.clock,
        progress=lambda what, done, total=None: told.append((what, done, total)),
    )
    assert told[-1] == ("reconstruct", 20, 20)


def test_bad_input_is_one_line(make_stage) -> None:
    stage = make_stage(frames=20)
    view = stage.keypoints["a"]
    cases = {
        "1 camera in this take, 3D needs 2": {"a": view},
        "0 cameras in this take": {},
        "no camera 'GoPro7' in the calibration; name the clips as the cameras are: a, b, c, d": {
            "a": view,
            "GoPro7": view,
        },
        "camera 'b' has other keypoints than 'a'": {
            "a": view,
            "b": replace(view, keypoint_names=("snout", *view.keypoint_names[1:])),
        },
        "camera 'b' has 1 frames": {
            "a": view,
            "b": replace(view, time_s=view.time_s[:1], xy_px=view.xy_px[:1], score=view.score[:1]),
        },
    }
    for message, keypoints in cases.items():
        with pytest.raises(InputError, match=message) as error:
            reconstruct(keypoints, stage.cameras, stage.clock)
        assert "\n" not in str(error.value)
    poses = stage.cameras.cam_from_world.clone()
    poses[1] = torch.nan
    with pytest.raises(InputError, match="camera 'b' has no pose"):
        reconstruct(stage.keypoints, stage.cameras.with_poses(poses), stage.clock)


def test_a_take_in_which_nobody_is_seen_says_so(make_stage) -> None:
    stage = make_stage(frames=10)
    empty = {name: replace(view, xy_px=view.xy_px * np.nan) for name, view in stage.keypoints.items()}
    with pytest.raises(InputError, match="nobody is seen in any of the 4 cameras"):
        reconstruct(empty, stage.cameras, stage.clock)


@pytest.mark.parametrize("settings", [{"min_views": 1}, {"rate_hz": -5.0}, {"rate_hz": float("nan")}])
def test_settings_that_cannot_be_meant(make_stage, settings: dict[str, float]) -> None:
    stage = make_stage(frames=20)
    with pytest.raises(ConfigError, match=f"reconstruct.{next(iter(settings))}"):
        reconstruct(stage.keypoints, stage.cameras, stage.clock, settings=ReconstructSettings(**settings))


@pytest.mark.parametrize("people", [0, 1])
def test_a_camera_that_saw_nobody(make_stage, people: int) -> None:
    stage = make_stage(frames=20)
    view = stage.keypoints["b"]
    empty = replace(view, xy_px=view.xy_px[:, :people] * np.nan, score=view.score[:, :people] * np.nan)
    points, summary = reconstruct(stage.keypoints | {"b": empty}, stage.cameras, stage.clock)
    assert (points.num_views == 3).all()
    assert miss_m(stage, points).max() < 5e-5
    assert summary.cameras["b"].seen == 0
    assert summary.cameras["b"].median_error_px is None


def test_deviations_fall_with_the_score() -> None:
    blazepose = ("left_eye_inner", "mouth_left", "left_foot_index")
    score = np.array([np.nan, 0.0, 0.3, 0.6, 0.95, 1.04])
    for names in (blazepose, ("nose",)):
        sizes = deviation(score, names)
        assert np.isfinite(sizes).all()
        assert (np.diff(sizes[1:]) <= 0).all()
        assert sizes[0] == sizes[1]
    # 14, 8.6 and 3.5 px for a person of 450 px.
    np.testing.assert_allclose(
        450 * deviation(np.array([0.5, 0.7, 0.9]), blazepose), [14, 8.6, 3.5], atol=0.1
    )


def test_deviations_scale_with_the_person_in_the_picture(make_stage, actor_type) -> None:
    large, _ = observe(*_parts(make_stage([actor_type()], frames=20)))
    small, _ = observe(*_parts(make_stage([actor_type(size=0.5)], frames=20)))
    ratio = np.median(large.sigma_px / small.sigma_px)
    assert isinstance(large, Observations)
    assert 1.8 < ratio < 2.2


def _parts(stage):
    return stage.keypoints, stage.cameras, stage.clock
