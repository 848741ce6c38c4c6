"""Offsets are found again that were planted; a data file that a run writes is one that placements read."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from mocap.settings import DetectSettings
from mocap.virtual.learn_offsets import constant_offset, learn, sighting, write_offsets
from mocap.virtual.lessons import Lesson, film_lessons, lesson_file, read_lessons, studio_of
from rigs.body import load_body
from rigs.keypoints import KEYPOINT_SETS, mirrored_name
from rigs.placements import OFFSETS_FILE, placements

NAMES = KEYPOINT_SETS["blazepose33"]
PLANTED_M = {
    "left_elbow": (0.012, -0.008, 0.005),
    "left_hip": (-0.01, 0.02, 0.015),
    "nose": (0.0, 0.01, 0.02),
}


def _lesson(seed: int, *, noise_px: float = 2.0, outliers: float = 0.1) -> Lesson:
    """What a detector would see that puts some keypoints elsewhere than the table says."""
    studio, body = studio_of(seed), load_body()
    (performer,), cameras = studio.performers, studio.cameras()
    time_s = np.arange(studio.num_frames) / studio.rate_hz
    motion = performer.motion(time_s, seconds=studio.seconds, rate_hz=studio.rate_hz)
    offsets = torch.zeros(len(NAMES), 3, dtype=torch.float64)
    for name, offset in PLANTED_M.items():
        offsets[NAMES.index(name)] = torch.tensor(offset)
        mirror = torch.tensor([1.0 if mirrored_name(name) == name else -1.0, 1.0, 1.0])
        offsets[NAMES.index(mirrored_name(name))] = torch.tensor(offset) * mirror
    model = body.detector_model(NAMES, "blazepose33").with_offsets(offsets)
    betas = torch.as_tensor(motion.betas)
    xy_px = cameras.project(model.pose(*body.pose_frames(motion.poses, motion.trans, betas), betas))[
        0
    ].numpy()
    rng = np.random.default_rng(seed)
    xy_px = xy_px + noise_px * rng.normal(size=xy_px.shape)
    wrong = rng.random(xy_px.shape[:3]) < outliers
    xy_px[wrong] += rng.normal(0, 80, (int(wrong.sum()), 2))
    score = np.where(wrong, 0.5, 0.9)
    return Lesson(seed, motion.poses, motion.trans, np.asarray(motion.betas), cameras, NAMES, xy_px, score)


def test_planted_offsets_are_found_on_both_sides() -> None:
    found = learn([_lesson(1), _lesson(6)], "blazepose33")
    assert not any("right" in name for name in found)
    for name, place in zip(NAMES, placements("blazepose33", NAMES), strict=True):
        if name in found:
            expected = np.array(place.offset_m) + PLANTED_M.get(name, (0.0, 0.0, 0.0))
            np.testing.assert_allclose(found[name]["offset_m"], expected, atol=2.5e-3, err_msg=name)
    assert found["left_elbow"]["performances"] == 4  # both sides of two people


def test_a_keypoint_that_nobody_saw_is_left_out() -> None:
    lesson = _lesson(1)
    hidden = lesson.xy_px.copy()
    hidden[:, :, NAMES.index("nose")] = np.nan
    seen = sighting(replace(lesson, xy_px=hidden), load_body(), "blazepose33")
    assert constant_offset(seen, NAMES.index("nose")) is None
    assert "nose" not in learn([replace(lesson, xy_px=hidden)], "blazepose33")


def test_the_direction_to_the_camera_is_in_the_axes_of_the_part() -> None:
    """A unit vector, and for the nose of somebody who faces a camera it points ahead."""
    lesson = _lesson(1)
    seen = sighting(lesson, load_body(), "blazepose33")
    np.testing.assert_allclose(np.linalg.norm(seen.toward, axis=-1), 1.0, atol=1e-9)
    nose, ears = NAMES.index("nose"), [NAMES.index(f"{side}_ear") for side in ("left", "right")]
    ahead = seen.toward[:, :, nose, 2]
    nearest = np.unravel_index(ahead.argmax(), ahead.shape)
    apart = np.linalg.norm(np.diff(lesson.xy_px[nearest][ears], axis=0))
    assert ahead.max() > 0.8
    assert apart > 5  # the face is seen from in front


def test_sets_are_written_side_by_side(tmp_path) -> None:
    path = tmp_path / "offsets.json"
    one = {"nose": {"offset_m": [0.0, 0.0, 0.01], "sigma_m": 0.005, "performances": 3}}
    write_offsets(path, "coco17", DetectSettings(), one)
    write_offsets(path, "blazepose33", DetectSettings(), one)
    content = json.loads(path.read_text(encoding="utf-8"))
    assert set(content["sets"]) == {"coco17", "blazepose33"}
    assert content["format"] == json.loads(OFFSETS_FILE.read_text(encoding="utf-8"))["format"]


class _Blind:
    """A detector that sees nobody in the first frame and one keypoint set afterwards."""

    keypoint_names = NAMES

    def step(self, rgb, time_s):
        from mocap.detect.detector import Detections

        seen = time_s > 0
        xy_px = np.full((int(seen), 33, 2), rgb.shape[0] / 2)
        return Detections(xy_px, np.full((int(seen), 33), 0.7), np.zeros(int(seen), np.int64))


def test_lessons_are_filmed_once_and_read_back(tmp_path, monkeypatch) -> None:
    import mocap.detect
    from mocap.virtual import lessons

    class Family:
        def files(self, settings):
            return {}

        def create(self, files, settings):
            return _Blind()

    monkeypatch.setitem(mocap.detect.DETECTORS, "blind", Family())
    monkeypatch.setattr(lessons, "NUM_CAMERAS", 1)
    monkeypatch.setattr(lessons, "SECONDS", 0.6)
    settings = DetectSettings(detector="blind")
    film_lessons(tmp_path, [3], settings)
    before = lesson_file(tmp_path, 3).stat().st_mtime_ns
    film_lessons(tmp_path, [3], settings)
    assert lesson_file(tmp_path, 3).stat().st_mtime_ns == before
    (lesson,) = read_lessons(tmp_path, range(5))
    assert lesson.seed == 3
    assert lesson.xy_px.shape == (3, 1, 33, 2)
    assert np.isnan(lesson.xy_px[0]).all()
    assert np.isfinite(lesson.xy_px[1:]).all()
    assert lesson.poses.shape == (3, 72)


def test_lessons_differ_in_body_dance_and_stage() -> None:
    one, same_room, other = (studio_of(seed) for seed in (0, 1, 4))
    assert one.room == same_room.room
    assert one.performers != same_room.performers
    assert one.room != other.room
    assert one == studio_of(0)


def test_a_broken_run_says_so(tmp_path, capsys) -> None:
    from mocap.virtual.learn_offsets import main

    assert main(["--folder", str(tmp_path), "--lessons", "1", "--variant", "huge"]) == 1
    assert "huge" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["left_hip", "left_elbow", "left_ankle"])
def test_the_shipped_offsets_are_small_and_known(name) -> None:
    (place,) = placements("blazepose33", [name])
    assert 1e-3 < np.linalg.norm(place.offset_m) < 0.05
    assert 0.003 < place.sigma_m < 0.03
