"""A session on disk: every path, every load and every save of the program.

Other programs rely on this layout (README, "On disk"); stages see values, never paths.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mocap import files
from mocap.errors import InputError
from mocap.keypoints import CameraKeypoints, Keypoints3D
from mocap.settings import BoardSettings, Settings, field_docs, settings_from
from mocap.stages import Record
from mocap.sync import CameraClock, Clock

if TYPE_CHECKING:
    from calibration import Cameras
    from rigs.motion import Motion

_SESSION, _SYNC, _KEYPOINTS, _POINTS, _MOTION, _REPORT = (
    f"mocap-studio {what}" for what in ("session", "sync", "keypoints", "points", "motion", "report")
)
_log = logging.getLogger(__name__)

_HIDDEN = ".mocap"
"""Folder for records and work in progress; deleting it costs time, never data."""


@dataclass(frozen=True)
class Session:
    """A rig of cameras and the takes that it recorded."""

    root: Path
    """The session's folder."""

    @staticmethod
    def create(root: Path, *, takes: Iterable[str] = ("take1",), settings: Settings | None = None) -> Session:
        """Make the folders and a commented ``session.toml``; what is there already is left alone.

        Raises:
            InputError: there is a session already, or ``root`` is a file.
        """
        session = Session(root)
        if session.settings_file.exists():
            raise InputError("is a session already", where=root, todo="choose another name")
        if root.exists() and not root.is_dir():
            raise InputError("is a file", where=root, todo="choose another name")
        for take in takes:
            _check_name(take, "take")
        text = settings_text(root.resolve().name, settings or Settings())
        files.write_atomic(session.settings_file, text.encode())
        folders = [session.clips_folder("intrinsics"), session.clips_folder("extrinsics")]
        for folder in folders + [session.take(name).folder for name in takes]:
            folder.mkdir(parents=True, exist_ok=True)
        return session

    @staticmethod
    def open(root: Path) -> Session:
        """The session in a folder.

        Raises:
            InputError: there is no session.
        """
        session = Session(root)
        if not root.exists():
            raise InputError("no such session", where=root, todo=f"make one with: mocap new {root}")
        if not session.settings_file.is_file():
            raise InputError(
                "no session.toml here, so this is no session",
                where=root,
                todo=f"make one with: mocap new {root}",
            )
        return session

    @property
    def settings_file(self) -> Path:
        """``session.toml``."""
        return self.root / "session.toml"

    @property
    def cameras_file(self) -> Path:
        """``cameras.toml``, the calibrated cameras."""
        return self.root / "cameras.toml"

    @property
    def calibration_report_file(self) -> Path:
        """``calibration/report.json``."""
        return self.root / "calibration" / "report.json"

    @property
    def record(self) -> Record:
        """What the calibration was made from."""
        return Record(self.root / "calibration" / _HIDDEN / "stages.json", self.root)

    def clips_folder(self, kind: str) -> Path:
        """Folder of the ``intrinsics`` or the ``extrinsics`` clips."""
        return self.root / "calibration" / kind

    def clips(self, kind: str) -> dict[str, Path]:
        """Board footage by camera name."""
        return _clips(self.clips_folder(kind))

    def take(self, name: str) -> Take:
        """A take by name, whether or not it exists."""
        return Take(self, name)

    def takes(self, name: str | None = None) -> list[Take]:
        """All takes, or the one that is named.

        Raises:
            InputError: there is none, or none of that name (the message lists those there are).
        """
        folder = self.root / "takes"
        names = (
            sorted(item.name for item in folder.iterdir() if item.is_dir() and not item.name.startswith("."))
            if folder.is_dir()
            else []
        )
        if name is not None and name not in names:
            raise InputError(
                f"no take '{name}'", where=folder, todo=f"there is: {', '.join(names) or 'none'}"
            )
        if not names:
            raise InputError(
                "no takes", where=folder, todo="put the clips of a take into takes/<take>/<camera>.mp4"
            )
        return [self.take(item) for item in names if name is None or item == name]

    def load_settings(self) -> Settings:
        """The settings of ``session.toml`` over the defaults.

        Raises:
            ConfigError: an unknown key (the message lists the valid ones) or a value of the wrong kind.
            InputError: no TOML, or of a newer version.
        """
        table = files.read_toml(self.settings_file)
        files.check_version(table, _SESSION, 1, self.settings_file)
        return settings_from(table, where=self.settings_file, beside=("format", "version", "name"))

    def load_cameras(self) -> Cameras:
        """The calibrated cameras.

        Raises:
            InputError: there are none.
            CalibrationError: the file cannot be used.
        """
        return _load_cameras(self.cameras_file)

    def save_cameras(self, cameras: Cameras, metadata: Mapping[str, Any] | None = None) -> None:
        """Write ``cameras.toml``."""
        files.write_atomic(self.cameras_file, _cameras_bytes(cameras, metadata))

    def save_calibration_report(self, report: Mapping[str, Any]) -> None:
        """Write ``calibration/report.json``."""
        files.write_json(self.calibration_report_file, _REPORT, 1, report)


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
        return Record(self.folder / _HIDDEN / "stages.json", self.folder)

    @property
    def scratch(self) -> Path:
        """Folder for work in progress."""
        return self.folder / _HIDDEN / "detect"

    def clips(self) -> dict[str, Path]:
        """Footage by camera name."""
        stages = {"keypoints", "motion", "export"}
        return {name: path for name, path in _clips(self.folder).items() if name not in stages}

    def keypoints_file(self, camera: str) -> Path:
        """``keypoints/<camera>.npz``."""
        return self.folder / "keypoints" / f"{camera}.npz"

    def keypoints_files(self) -> dict[str, Path]:
        """The 2D keypoints that are there, by camera name."""
        return {path.stem: path for path in _visible(self.folder / "keypoints", "*.npz")}

    def motion_files(self) -> dict[str, Path]:
        """The motions that are there, by person."""
        return {path.stem: path for path in _visible(self.folder / "motion", "*.npz")}

    def export_files(self) -> list[Path]:
        """The exported files that are there."""
        return _visible(self.export_folder, "*")

    def load_keypoints(self, camera: str) -> CameraKeypoints:
        """What one camera saw, with keypoints named our way."""
        path = self.keypoints_file(camera)
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
            return Clock({name: CameraClock(**entry) for name, entry in document["cameras"].items()})
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InputError(
                f"cannot be used ({error})",
                where=self.sync_file,
                todo="each camera takes offset_s, drift_ppm, std_s, source",
            ) from error

    def save_clock(self, clock: Clock) -> None:
        """Write ``sync.json``."""
        files.write_json(
            self.sync_file, _SYNC, 1, {"cameras": {name: asdict(own) for name, own in clock.cameras.items()}}
        )

    def load_cameras(self) -> Cameras:
        """The calibration that came with the take, or was used for it."""
        return _load_cameras(self.cameras_file)

    def save_cameras(self, cameras: Cameras) -> None:
        """Write the snapshot of the calibration that is used."""
        files.write_atomic(self.cameras_file, _cameras_bytes(cameras, None))

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


def settings_text(name: str, settings: Settings) -> str:
    """A ``session.toml`` that explains itself: the board as it is, other defaults commented out."""
    lines = [
        "# Settings of this session. Those behind a '#' stand at their defaults: remove it to change one.",
        "",
        'format = "mocap-studio session"',
        "version = 1",
        f"name = {_toml(name)}",
    ]
    for section, node in vars(settings).items():
        default = type(node)()
        lines += ["", f"[{section}]"]
        docs = field_docs(type(node))
        for key, value in vars(node).items():
            mark = "" if isinstance(node, BoardSettings) or value != getattr(default, key) else "# "
            lines.append(
                f"{mark}{f'{key} = {_toml(value)}':<34}  # {' '.join(docs.get(key, '').split())}".rstrip(" #")
            )
    return "\n".join(lines) + "\n"


def _toml(value: Any) -> str:
    import tomlkit

    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_toml(str(key))} = {_toml(item)}" for key, item in value.items()) + "}"
    return tomlkit.item(list(value) if isinstance(value, tuple) else value).as_string()


def _check_name(name: str, what: str) -> None:
    if not name or name.startswith(".") or any(character in name for character in "/\\\n"):
        raise InputError(f"'{name}' cannot name a {what}", todo="use letters, digits, spaces, '-' and '_'")


def _clips(folder: Path) -> dict[str, Path]:
    from mocap.video import find_clips

    return find_clips(folder) if folder.is_dir() else {}


def _visible(folder: Path, pattern: str) -> list[Path]:
    """Files of a folder, without the temporary ones of a write under way."""
    return sorted(path for path in folder.glob(pattern) if path.is_file() and not path.name.startswith("."))


def _load_cameras(path: Path) -> Cameras:
    from calibration.formats import load_cameras

    if not path.is_file():
        raise InputError(
            "no calibrated cameras",
            where=path,
            todo=f"run mocap calibrate, or bring another tool's calibration with: mocap cameras IN {path}",
        )
    return load_cameras(path)


def _cameras_bytes(cameras: Cameras, metadata: Mapping[str, Any] | None) -> bytes:
    from calibration.formats import save_cameras_text

    return save_cameras_text(cameras, dict(metadata or {})).encode()


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
