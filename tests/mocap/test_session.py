from pathlib import Path

import numpy as np
import pytest

from mocap.errors import ConfigError, InputError
from mocap.keypoints import CameraKeypoints, Keypoints3D
from mocap.session import Session
from mocap.sync import CameraClock, Clock


@pytest.fixture
def session(tmp_path: Path) -> Session:
    return Session.create(tmp_path / "stage one")


def camera_keypoints() -> CameraKeypoints:
    rng = np.random.default_rng(0)
    xy_px = rng.uniform(0, 500, (4, 2, 3, 2))
    xy_px[1, 1] = np.nan
    score = np.where(np.isnan(xy_px[..., 0]), np.nan, 0.5)
    return CameraKeypoints(np.arange(4) / 30, xy_px, score, ("nose", "left_ankle", "right_ankle"), (640, 480))


def points() -> Keypoints3D:
    rng = np.random.default_rng(1)
    xyz_world = rng.normal(size=(5, 1, 3, 3))
    covariance = np.broadcast_to(np.eye(3) * 1e-4, (5, 1, 3, 3, 3)).copy()
    names = ("nose", "left_ankle", "right_ankle")
    counts = np.full((5, 1, 3), 3)
    return Keypoints3D(
        np.arange(5) / 30, np.array([0]), names, xyz_world, covariance, np.ones((5, 1, 3)), counts
    )


def equal(first: object, second: object) -> bool:
    return all(
        np.array_equal(value, getattr(second, name), equal_nan=value.dtype.kind == "f")
        if isinstance(value, np.ndarray)
        else value == getattr(second, name)
        for name, value in vars(first).items()
    )


def test_a_new_session_has_the_folders_of_the_contract(session: Session) -> None:
    for folder in ("calibration/intrinsics", "calibration/extrinsics", "takes/take1"):
        assert (session.root / folder).is_dir()
    assert Session.open(session.root).load_settings().board.square_m == 0.08


def test_a_session_is_never_made_over_another(session: Session) -> None:
    text = session.settings_file.read_text()
    with pytest.raises(InputError, match="is a session already"):
        Session.create(session.root)
    assert session.settings_file.read_text() == text


@pytest.mark.parametrize("name", ["", "../up", ".hidden", "a/b", "two\nlines"])
def test_a_take_cannot_leave_its_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="cannot name a take"):
        Session.create(tmp_path / "s", takes=[name])
    assert not (tmp_path / "s").exists()


def test_no_such_session(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such session; make one with: mocap new"):
        Session.open(tmp_path / "none")
    with pytest.raises(InputError, match=r"no session\.toml here"):
        Session.open(tmp_path)


def test_takes_are_named_in_the_refusal(session: Session) -> None:
    with pytest.raises(InputError, match="no take 'take2'; there is: take1"):
        session.takes("take2")


def test_an_unknown_key_lists_the_valid_ones(session: Session) -> None:
    session.settings_file.write_text("colour = 3\n")
    with pytest.raises(
        ConfigError, match=r"unknown key 'colour'; valid: board,.*export, format, version, name"
    ):
        session.load_settings()


def test_a_session_from_a_newer_version_is_refused(session: Session) -> None:
    session.settings_file.write_text("version = 2\n")
    with pytest.raises(InputError, match=r"session\.toml: has version 2 .* update mocap-studio"):
        session.load_settings()


def test_keypoints_come_back_as_they_were_saved(session: Session) -> None:
    take = session.take("take1")
    take.save_keypoints("cam 1", camera_keypoints())
    assert take.keypoints_files() == {"cam 1": take.keypoints_file("cam 1")}
    assert equal(camera_keypoints(), take.load_keypoints("cam 1"))


def test_keypoint_names_of_other_spellings_are_understood(session: Session) -> None:
    take = session.take("take1")
    theirs = camera_keypoints()
    path = take.keypoints_file("a")
    path.parent.mkdir()
    names = np.array(["Nose", "LAnkle", "RAnkle"])
    np.savez(path, **{**vars(theirs), "keypoint_names": names, "size_px": np.array(theirs.size_px)})
    assert take.load_keypoints("a").keypoint_names == ("nose", "left_ankle", "right_ankle")


def test_keypoints_of_a_wrong_shape_are_refused(session: Session) -> None:
    take = session.take("take1")
    arrays = {**vars(camera_keypoints()), "score": np.zeros((4, 2)), "size_px": np.array([1, 1])}
    take.keypoints_file("a").parent.mkdir()
    np.savez(take.keypoints_file("a"), **arrays)
    with pytest.raises(InputError, match=r"a\.npz: score must be \(4, 2, 3\), not \(4, 2\)"):
        take.load_keypoints("a")


def test_points_come_back_and_may_come_without_uncertainty(session: Session) -> None:
    take = session.take("take1")
    take.save_points(points())
    assert equal(points(), take.load_points())
    bare = points()
    np.savez(
        take.points_file,
        time_s=bare.time_s,
        keypoint_names=np.array(bare.keypoint_names),
        xyz_world=bare.xyz_world,
    )
    loaded = take.load_points()
    assert np.isfinite(loaded.covariance).all()
    assert (loaded.num_views == 2).all()
    assert loaded.person.tolist() == [0]


def test_clocks_come_back(session: Session) -> None:
    clock = Clock({"a": CameraClock(0.25, -40.0, 0.01, "settings"), "b": CameraClock()})
    take = session.take("take1")
    take.save_clock(clock)
    assert take.load_clock() == clock
    assert np.allclose(clock.take_time("a", np.array([0.0, 1000.0])), [0.25, 1000.25 - 0.04])


@pytest.mark.parametrize("entry", ['{"offset": 1}', '{"offset_s": "late"}', "3"])
def test_a_clock_that_cannot_be_used_is_refused(session: Session, entry: str) -> None:
    take = session.take("take1")
    take.sync_file.write_text(f'{{"cameras": {{"a": {entry}}}}}')
    with pytest.raises(InputError, match=r"sync\.json: cannot be used"):
        take.load_clock()
