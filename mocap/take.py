"""A take on disk: every path, every load and every save of what is made from one recording."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mocap import cameras_file, files
from mocap.errors import InputError
from mocap.keypoints import CameraKeypoints, FloatArray, Keypoints3D
from mocap.stages import Record
from mocap.sync import CameraClock, Clock, Evidence

if TYPE_CHECKING:
    from calibration import Cameras
    from mocap.session import Session
    from rigs.motion import Motion

_SYNC, _KEYPOINTS, _POINTS, _MOTION, _REPORT = (
    f"mocap-studio {what}" for what in ("sync", "keypoints", "points", "motion", "report")
)
_log = logging.getLogger(__name__)

HIDDEN = ".mocap"
"""Folder for records and work in progress; deleting it costs time, never data."""


@dataclass(frozen=True)
class Take:
    """One recording by all cameras, and everything made from it."""

    session: Session
    """The session it belongs to."""
    name: str
    """Its folder's name."""

    @property
    def folder(self) -> Path:
        """``takes/<take>``."""
        return self.session.root / "takes" / self.name

    @property
    def cameras_file(self) -> Path:
        """The calibration that was used, or came with the take."""
        return self.folder / "cameras.toml"

    @property
    def sync_file(self) -> Path:
        """``sync.json``."""
        return self.folder / "sync.json"

    @property
    def points_file(self) -> Path:
        """``points.npz``."""
        return self.folder / "points.npz"

    @property
    def report_file(self) -> Path:
        """``report.json``."""
        return self.folder / "report.json"

    @property
    def overlay_file(self) -> Path:
        """``overlay.png``: the result drawn over every view."""
        return self.folder / "overlay.png"

    @property
    def export_folder(self) -> Path:
        """``export``: what other programs read."""
        return self.folder / "export"

    @property
    def record(self) -> Record:
        """What each stage of this take was made from."""
        return Record(self.folder / HIDDEN / "stages.json", self.folder)

    @property
    def scratch(self) -> Path:
        """Folder for work in progress."""
        return self.folder / HIDDEN / "detect"

    def clips(self) -> dict[str, Path]:
        """Footage by camera name."""
        stages = {"keypoints", "found", "motion", "export"}
        return {name: path for name, path in clips_in(self.folder).items() if name not in stages}

    def keypoints_file(self, camera: str) -> Path:
        """``keypoints/<camera>.npz``."""
        return self.folder / "keypoints" / f"{camera}.npz"

    def keypoints_files(self) -> dict[str, Path]:
        """The 2D keypoints that are there, by camera name."""
        return {path.stem: path for path in _visible(self.folder / "keypoints", "*.npz")}

    def found_files(self) -> dict[str, Path]:
        """By camera name, the people who were looked for again where the other views' 3D has them."""
        return {path.stem: path for path in _visible(self.folder / "found", "*.npz")}

    @property
    def people_file(self) -> Path:
        """``people.toml``: what the user says about who is who."""
        return self.folder / "people.toml"

    def motion_files(self) -> dict[str, Path]:
        """The motions that are there, by person."""
        return {path.stem: path for path in _visible(self.folder / "motion", "*.npz")}

    def export_files(self) -> list[Path]:
        """The exported files that are there."""
        return _visible(self.export_folder, "*")

    def load_views(self) -> dict[str, CameraKeypoints]:
        """What every camera saw, and who was found when they were looked for again."""
        found = self.found_files()
        views = {name: self.load_keypoints(name) for name in self.synced_keypoints_files()}
        for name in views.keys() & found.keys():
            views[name] = views[name].and_also(self._load_keypoints(found[name]))
        return views

    def save_found(self, camera: str, keypoints: CameraKeypoints) -> None:
        """Write ``found/<camera>.npz``, in the format of the keypoints."""
        arrays = asdict(keypoints) | {"keypoint_names": np.array(keypoints.keypoint_names)}
        files.write_npz(self.folder / "found" / f"{camera}.npz", _KEYPOINTS, 1, arrays)

    def load_keypoints(self, camera: str) -> CameraKeypoints:
        """What one camera saw, with keypoints named our way."""
        return self._load_keypoints(self.keypoints_file(camera))

    def _load_keypoints(self, path: Path) -> CameraKeypoints:
        required = ("time_s", "xy_px", "score", "keypoint_names", "size_px")
        arrays = files.read_npz(path, _KEYPOINTS, 1, required=required)
        width, height = (int(value) for value in arrays["size_px"])
        return _built(
            path,
            CameraKeypoints,
            time_s=arrays["time_s"].astype(np.float64),
            xy_px=arrays["xy_px"].astype(np.float64),
            score=arrays["score"].astype(np.float64),
            keypoint_names=_names(arrays["keypoint_names"]),
            size_px=(width, height),
        )

    def save_keypoints(self, camera: str, keypoints: CameraKeypoints) -> None:
        """Write ``keypoints/<camera>.npz``."""
        arrays = asdict(keypoints) | {"keypoint_names": np.array(keypoints.keypoint_names)}
        files.write_npz(self.keypoints_file(camera), _KEYPOINTS, 1, arrays)

    def load_points(self) -> Keypoints3D:
        """The 3D keypoints of all people; a file without uncertainty gets the 3D noise that is usual."""
        required = ("time_s", "keypoint_names", "xyz_world")
        arrays = files.read_npz(self.points_file, _POINTS, 1, required=required)
        xyz_world = arrays["xyz_world"].astype(np.float64)
        if xyz_world.ndim != 4 or xyz_world.shape[-1] != 3:
            raise InputError(
                f"xyz_world is {xyz_world.shape}", where=self.points_file, todo="it should be (T, P, K, 3)"
            )
        seen = np.isfinite(xyz_world).all(-1)
        assumed = np.where(seen[..., None, None], np.eye(3) * _FOREIGN_STD_M**2, np.nan)
        return _built(
            self.points_file,
            Keypoints3D,
            time_s=arrays["time_s"].astype(np.float64),
            person=arrays.get("person", np.arange(xyz_world.shape[1])),
            keypoint_names=_names(arrays["keypoint_names"]),
            xyz_world=xyz_world,
            covariance=arrays.get("covariance", assumed).astype(np.float64),
            error_px=arrays.get("error_px", np.full(seen.shape, np.nan)).astype(np.float64),
            num_views=arrays.get("num_views", np.where(seen, 2, 0)),
        )

    def save_points(self, points: Keypoints3D) -> None:
        """Write ``points.npz``."""
        arrays = asdict(points) | {"keypoint_names": np.array(points.keypoint_names)}
        files.write_npz(self.points_file, _POINTS, 1, arrays)

    def load_motion(self, person: str) -> Motion:
        """The motion of one person; AMASS's own files, without joints, are posed on the shipped body."""
        from rigs import RigError
        from rigs.motion import Motion

        path = self.folder / "motion" / f"{person}.npz"
        arrays = files.read_npz(path, _MOTION, 1, required=("poses", "trans", "mocap_framerate"))
        try:
            return Motion.from_arrays(arrays if "joints" in arrays else _posed(arrays, path))
        except (RigError, ValueError) as error:
            raise InputError(str(error), where=path, todo="make it again") from error

    def save_motion(self, person: str, motion: Motion) -> None:
        """Write ``motion/<person>.npz``."""
        files.write_npz(self.folder / "motion" / f"{person}.npz", _MOTION, 1, motion.to_arrays())

    def load_clock(self) -> Clock:
        """The clocks of ``sync.json``."""
        document = files.read_json(self.sync_file, _SYNC, 1)
        try:
            return Clock(
                {name: CameraClock(**entry) for name, entry in document["cameras"].items()},
                dict(document.get("left_out", {})),
                tuple(document.get("notes", ())),
                tuple(Evidence(**entry) for entry in document.get("evidence", ())),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InputError(
                f"cannot be used ({error})",
                where=self.sync_file,
                todo="each camera takes offset_s, drift_ppm, std_s, source",
            ) from error

    def save_clock(self, clock: Clock) -> None:
        """Write ``sync.json``."""
        files.write_json(
            self.sync_file,
            _SYNC,
            1,
            {
                "cameras": {name: asdict(own) for name, own in clock.cameras.items()},
                "left_out": dict(clock.left_out),
                "notes": list(clock.notes),
                "evidence": [asdict(one) for one in clock.evidence],
            },
        )

    def synced_keypoints_files(self) -> dict[str, Path]:
        """The 2D keypoints of the cameras whose clocks are known; of all before clocks were looked for."""
        left_out = self.load_clock().left_out if self.sync_file.is_file() else {}
        return {name: path for name, path in self.keypoints_files().items() if name not in left_out}

    def load_cameras(self) -> Cameras:
        """The calibration that came with the take, or was used for it."""
        return cameras_file.load(self.cameras_file)

    def save_cameras(self, cameras: Cameras) -> None:
        """Write the snapshot of the calibration that is used."""
        cameras_file.save(self.cameras_file, cameras)

    def save_report(self, report: Mapping[str, Any]) -> None:
        """Write ``report.json``."""
        files.write_json(self.report_file, _REPORT, 1, report)

    def load_report(self) -> dict[str, Any]:
        """Read ``report.json``."""
        return files.read_json(self.report_file, _REPORT, 1)

    def save_overlay(self, png: bytes) -> None:
        """Write ``overlay.png``."""
        files.write_atomic(self.overlay_file, png)


_FOREIGN_STD_M = 0.015
"""Standard deviation per axis of 3D points that came without one: what good markerless points have."""


def load_shape(path: Path, body: str) -> FloatArray:
    """(B,) shape coefficients of a motion file, to fit the same person again.

    Raises:
        InputError: no such file, or one that was made with another body.
    """
    arrays = files.read_npz(path, _MOTION, 1, required=("betas",))
    made_with = str(arrays.get("body", "default"))
    if made_with != body:
        raise InputError(
            f"the shape is of the body {made_with!r}, not of {body!r}",
            where=path,
            todo="use a motion that was fitted with this body",
        )
    return arrays["betas"].astype(np.float64).reshape(-1)


def clips_in(folder: Path) -> dict[str, Path]:
    """Clips and image folders by camera name; none where there is no such folder."""
    from mocap.video import find_clips

    return find_clips(folder) if folder.is_dir() else {}


def _visible(folder: Path, pattern: str) -> list[Path]:
    """Files of a folder, without the temporary ones of a write under way."""
    return sorted(path for path in folder.glob(pattern) if path.is_file() and not path.name.startswith("."))


def _names(array: np.ndarray[Any, Any]) -> tuple[str, ...]:
    from rigs.keypoints import canonical_names

    return tuple(canonical_names([str(name) for name in array]))


_BODY_JOINTS = 22
"""Joints that SMPL, SMPL-H and SMPL-X share; after them come hands or face."""


def _posed(arrays: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """AMASS's keys completed by the shipped body in its mean shape: other bodies' betas mean other shapes."""
    from rigs import load_body

    body = load_body("default")
    shared = np.asarray(arrays["poses"], dtype=np.float64)
    if shared.ndim != 2 or shared.shape[1] < 3 * _BODY_JOINTS:
        raise ValueError(f"poses must be (T, {3 * _BODY_JOINTS} or more), not {shared.shape}")
    _log.warning("%s: made for another body; its pose is shown on the shipped one", path)
    num_joints = len(body.joint_names)
    poses = np.zeros((len(shared), 3 * num_joints))
    poses[:, : 3 * _BODY_JOINTS] = shared[:, : 3 * _BODY_JOINTS]
    betas = np.zeros(body.num_betas)
    return {
        "poses": poses,
        "trans": arrays["trans"],
        "betas": betas,
        "gender": np.array("neutral"),
        "mocap_framerate": arrays["mocap_framerate"],
        "time_s": np.arange(len(poses)) / float(arrays["mocap_framerate"]),
        "joint_names": np.array(body.joint_names),
        "joints": body.pose_joints(poses, arrays["trans"], betas).numpy(),
    }


def _built(path: Path, kind: type[Any], **values: Any) -> Any:
    """The value, with its own complaint about shapes turned into one about the file."""
    try:
        return kind(**values)
    except ValueError as error:
        raise InputError(str(error), where=path, todo="make it again") from error
