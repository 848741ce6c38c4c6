"""Clips and truth on disk: real files with the right times, the same bytes again, faults as ordered."""

from dataclasses import replace

import numpy as np
import pytest

from mocap.errors import InputError
from mocap.session import Session
from mocap.video import frames, open_clip
from mocap.virtual.film import film, true_keypoints, write_truth
from mocap.virtual.studio import small_studio

STUDIO = replace(small_studio(seconds=0.5), rate_hz=10.0)


@pytest.fixture(scope="module")
def filmed(tmp_path_factory):
    session = Session.create(tmp_path_factory.mktemp("film") / "session")
    seen = []
    film(STUDIO, session, processes=1, progress=lambda what, done, total=None: seen.append((done, total)))
    return session, seen


def test_every_camera_has_a_board_clip_and_a_take_clip(filmed) -> None:
    session, seen = filmed
    assert sorted(session.clips("extrinsics")) == ["cam1", "cam2"]
    clips = session.take("take1").clips()
    assert sorted(clips) == ["cam1", "cam2"]
    clip = open_clip(clips["cam1"])
    assert clip.size_px == STUDIO.ring.size_px
    assert [frame.time_s for frame in frames(clip)] == pytest.approx(np.arange(5) / 10)
    assert seen[-1] == (2 * (5 + 15), 2 * (5 + 15))


def test_the_film_shows_what_the_studio_draws(filmed) -> None:
    session, _ = filmed
    first = next(iter(frames(open_clip(session.take("take1").clips()["cam2"])))).rgb
    drawn = next(STUDIO.take_frames("cam2"))
    assert np.abs(first.astype(int) - drawn).mean() < 6  # noise and compression


def test_the_same_studio_films_the_same_bytes_in_parallel_too(filmed, tmp_path) -> None:
    again = Session.create(tmp_path / "again")
    film(STUDIO, again, processes=2)
    for name, path in filmed[0].take("take1").clips().items():
        assert path.read_bytes() == again.take("take1").clips()[name].read_bytes()


def test_clips_that_are_there_are_left_alone(filmed) -> None:
    session, _ = filmed
    before = {path: path.stat().st_mtime_ns for path in session.take("take1").clips().values()}
    film(STUDIO, session, processes=1)
    assert before == {path: path.stat().st_mtime_ns for path in before}


def test_the_truth_stands_apart_and_is_complete(filmed, tmp_path) -> None:
    truth = write_truth(STUDIO, tmp_path / "truth")
    assert truth.load_cameras().names == ("cam1", "cam2")
    motion = truth.take("take1").load_motion("person1")
    assert motion.joints.shape == (5, 24, 3)
    keypoints = truth.take("take1").load_keypoints("cam1")
    assert keypoints.xy_px.shape == (5, 1, 33, 2)
    assert np.isfinite(keypoints.xy_px).mean() > 0.9
    assert not (tmp_path / "truth" / "session.toml").exists()
    with pytest.raises(InputError):
        Session.open(tmp_path / "truth")


def test_true_keypoints_lie_on_the_person() -> None:
    """Every true keypoint is within a few pixels of what changes when the person enters the picture."""
    import cv2

    from mocap.virtual.render import CameraView

    view = CameraView(STUDIO.take_cameras()["cam1"], STUDIO.room)
    picture = next(STUDIO.take_frames("cam1", view))
    person = (np.abs(picture.astype(int) - view.empty_picture).sum(-1) > 12).astype(np.uint8)
    near = cv2.dilate(person, np.ones((9, 9)))
    x, y = np.round(true_keypoints(STUDIO, "cam1").xy_px[0, 0]).astype(int).T
    assert near[y, x].all()


def test_a_late_camera_sees_later_keypoints() -> None:
    late = replace(STUDIO, faults=replace(STUDIO.faults, start_late_s={"cam1": 0.1}))
    on_time, later = true_keypoints(STUDIO, "cam1"), true_keypoints(late, "cam1")
    np.testing.assert_allclose(later.xy_px[:-1], on_time.xy_px[1:], atol=1e-6)


def test_dropped_frames_and_truncation_reach_the_file(tmp_path) -> None:
    faults = replace(STUDIO.faults, dropped={"cam1": (1, 2)}, truncated={"cam2": 0.5})
    studio = replace(STUDIO, faults=faults)
    session = Session.create(tmp_path / "s")
    for camera in ("cam1", "cam2"):
        list(studio.film_take(camera, session.take("take1").folder / f"{camera}.mp4"))
    clips = session.take("take1").clips()
    assert [frame.time_s for frame in frames(open_clip(clips["cam1"]))] == pytest.approx([0, 0.3, 0.4])
    with pytest.raises(InputError):
        list(frames(open_clip(clips["cam2"])))
