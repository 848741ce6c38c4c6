"""One camera as files tell it, checked; and the way to and from ``Cameras``."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import roma
import torch
from numpy.typing import NDArray

from calibration.cameras import Cameras
from calibration.errors import CalibrationError
from calibration.lenses import pinhole

Array = NDArray[np.float64]

_ROTATION_ERROR = 1e-3  # of R R^T: more is no rotation, less is one that was printed with few digits
_ROTATION_EXACT = 1e-14  # below this a rotation is left as it is
_SKEW = 1e-9  # of the focal length


@dataclass(frozen=True)
class CameraRecord:
    """One camera, in our units."""

    name: str
    """Name, unique in the file."""
    size_px: tuple[float, float]
    """Image width and height, NaN where the file does not say."""
    focal_px: tuple[float, float]
    """Focal lengths in pixels."""
    center_px: tuple[float, float]
    """Principal point, integer pixel = pixel centre."""
    distortion: tuple[float, ...]
    """Coefficients in OpenCV order, as many as a model has."""
    cam_from_world: Array | None
    """(4, 4) pose in metres, None where the file does not say."""
    model: str = "pinhole"
    """``pinhole`` or ``fisheye``."""

    @property
    def where(self) -> str:
        """The camera in a message."""
        return f"camera {self.name}"

    @property
    def matrix(self) -> Array:
        """(3, 3) camera matrix."""
        (fx, fy), (cx, cy) = self.focal_px, self.center_px
        return np.array([[fx, 0.0, cx], [0.0, fy, cy], [0.0, 0.0, 1.0]])

    @property
    def rotation(self) -> Array:
        """(3, 3) rotation from world to camera."""
        return self._pose[:3, :3]

    @property
    def rotvec(self) -> Array:
        """(3,) Rodrigues vector of the rotation from world to camera."""
        return roma.rotmat_to_rotvec(torch.from_numpy(self.rotation)).numpy()

    @property
    def translation(self) -> Array:
        """(3,) translation from world to camera, metres."""
        return self._pose[:3, 3]

    @property
    def center_world(self) -> Array:
        """(3,) optical centre, metres."""
        return -self.rotation.T @ self.translation

    @property
    def _pose(self) -> Array:
        if self.cam_from_world is None:
            raise ValueError(f"{self.where} has no pose")
        return self.cam_from_world

    def padded(self, count: int) -> Array:
        """Coefficients with zeros up to ``count``."""
        return np.array([*self.distortion, *[0.0] * (count - len(self.distortion))])


def numbers(entry: Mapping[str, Any], key: str, shape: tuple[int, ...] | int, where: str) -> Array:
    """Finite numbers of an entry.

    Args:
        entry: a camera as it was parsed.
        key: which of its values.
        shape: shape to give them; a plain number means any count up to it.
        where: file and camera, for messages.
    """
    if key not in entry:
        raise CalibrationError(f"{where}: has no {key}")
    return as_numbers(entry[key], key, shape, where)


def as_numbers(value: Any, what: str, shape: tuple[int, ...] | int, where: str) -> Array:
    """Finite numbers of this shape (or up to so many of them), or an error that says what is wrong."""
    try:
        array = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise CalibrationError(f"{where}: {what} is not made of numbers") from error
    expected = f"up to {shape}" if isinstance(shape, int) else " x ".join(map(str, shape))
    fits = array.size <= shape if isinstance(shape, int) else array.size == int(np.prod(shape))
    if not fits:
        raise CalibrationError(f"{where}: {what} has {array.size} numbers, expected {expected}")
    if not np.isfinite(array).all():
        raise CalibrationError(f"{where}: {what} holds a value that is not a finite number; calibrate again")
    return array.ravel() if isinstance(shape, int) else array.reshape(shape)


def make_record(
    name: str,
    where: str,
    *,
    matrix: Array,
    distortion: Sequence[float] | Array,
    size_px: tuple[float, float] | None = None,
    rotation: Array | None = None,
    translation: Array | None = None,
    center: Array | None = None,
    fisheye: bool = False,
) -> CameraRecord:
    """Check what a file says of a camera.

    Args:
        name: the camera's name.
        where: file and camera, for messages.
        matrix: (3, 3) camera matrix, pixels, integer pixel = pixel centre.
        distortion: coefficients in OpenCV order, any number of them.
        size_px: image width and height.
        rotation: (3, 3), or (3,) Rodrigues vector, world to camera.
        translation: (3,) metres, world to camera.
        center: (3,) optical centre, metres, where the file tells that and not the translation.
        fisheye: whether the coefficients are those of OpenCV's fisheye model.

    Raises:
        CalibrationError: skew, a focal length that is not positive, too many coefficients, a matrix that is
            no rotation, or half a pose.
    """
    fx, fy = float(matrix[0, 0]), float(matrix[1, 1])
    if min(fx, fy) <= 0.0:
        raise CalibrationError(f"{where}: focal length {fx:g}, {fy:g} is not positive; calibrate again")
    if max(abs(float(matrix[0, 1])), abs(float(matrix[1, 0]))) > _SKEW * fx:
        raise CalibrationError(
            f"{where}: pixels are skewed, which no camera here has; calibrate without skew"
        )
    if size_px is not None and min(size_px) <= 0:
        raise CalibrationError(f"{where}: image size {size_px[0]:g} x {size_px[1]:g} is not positive")
    return CameraRecord(
        name=name,
        size_px=size_px or (float("nan"), float("nan")),
        focal_px=(fx, fy),
        center_px=(float(matrix[0, 2]), float(matrix[1, 2])),
        distortion=_coefficients([float(x) for x in distortion], where, fisheye=fisheye),
        cam_from_world=_pose(where, rotation, translation, center),
        model="fisheye" if fisheye else "pinhole",
    )


def _pose(
    where: str, rotation: Array | None, translation: Array | None, center: Array | None
) -> Array | None:
    if rotation is None and translation is None and center is None:
        return None
    if rotation is None or (translation is None and center is None):
        there, gone = ("translation", "rotation") if rotation is None else ("rotation", "translation")
        raise CalibrationError(f"{where}: has a {there} and no {gone}")
    pose = np.eye(4)
    pose[:3, :3] = _rotation(rotation, where)
    pose[:3, 3] = -pose[:3, :3] @ center if center is not None else translation
    return pose


def _coefficients(values: list[float], where: str, *, fisheye: bool) -> tuple[float, ...]:
    while values and values[-1] == 0.0 and (fisheye or len(values) > 5):
        values.pop()
    if fisheye and len(values) > 4:
        raise CalibrationError(f"{where}: {len(values)} distortion coefficients, a fisheye has four")
    if len(values) > pinhole.COEFFICIENTS[-1]:
        raise CalibrationError(f"{where}: {len(values)} distortion coefficients, a camera has at most 14")
    wanted = 4 if fisheye else min(n for n in pinhole.COEFFICIENTS if n >= len(values))
    return (*values, *[0.0] * (wanted - len(values)))


def _rotation(value: Array, where: str) -> Array:
    if value.size == 3:
        return roma.rotvec_to_rotmat(torch.from_numpy(value.reshape(3).copy())).numpy()
    bounded = np.clip(value, -2.0, 2.0)  # no rotation holds more, and large numbers overflow
    error = float(np.abs(bounded @ bounded.T - np.eye(3)).max())
    if error > _ROTATION_ERROR or np.linalg.det(bounded) < 0:
        raise CalibrationError(
            f"{where}: the rotation is not a rotation (off by {error:.2g}); check the file"
        )
    if error <= _ROTATION_EXACT:
        return value
    u, _, vt = np.linalg.svd(value)
    return u @ vt


def to_cameras(records: Sequence[CameraRecord], where: str) -> Cameras:
    """The records as one batch, float64."""
    if not records:
        raise CalibrationError(f"{where}: holds no camera")
    names = [record.name for record in records]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise CalibrationError(f"{where}: two cameras are called {twice[0]}; rename one of them")
    width = max(len(record.distortion) for record in records)
    unknown = np.full((4, 4), np.nan)
    poses = [unknown if r.cam_from_world is None else r.cam_from_world for r in records]
    return Cameras(
        names=tuple(names),
        size_px=torch.tensor([r.size_px for r in records], dtype=torch.float64),
        focal_px=torch.tensor([r.focal_px for r in records], dtype=torch.float64),
        center_px=torch.tensor([r.center_px for r in records], dtype=torch.float64),
        distortion=torch.from_numpy(np.stack([r.padded(width) for r in records])),
        cam_from_world=torch.from_numpy(np.stack(poses)),
        model=tuple(r.model for r in records),
    )


def to_records(cameras: Cameras) -> list[CameraRecord]:
    """The cameras one by one, each checked as if it had been read."""
    records: list[CameraRecord] = []
    matrices = cameras.camera_matrices.detach().double().cpu().numpy()
    poses = cameras.cam_from_world.detach().double().cpu().numpy()
    posed = cameras.posed.tolist()
    for i, name in enumerate(cameras.names):
        where = f"camera {name}"
        size = cameras.size_px[i].tolist()
        fisheye = cameras.model[i] == "fisheye"
        row = as_numbers(cameras.distortion[i].tolist(), "distortion", 14, where)
        record = make_record(
            name,
            where,
            matrix=as_numbers(matrices[i], "matrix", (3, 3), where),
            distortion=row[:4] if fisheye else row,
            size_px=as_size(size if all(map(math.isfinite, size)) else None, where),
            rotation=poses[i, :3, :3] if posed[i] else None,
            translation=poses[i, :3, 3] if posed[i] else None,
            fisheye=fisheye,
        )
        records.append(record)
    return records


def as_size(value: Any, where: str) -> tuple[float, float] | None:
    """Image size, None where the file does not say."""
    if value is None:
        return None
    width, height = as_numbers(value, "size", (2,), where).tolist()
    return width, height


def require(
    records: Sequence[CameraRecord],
    format_name: str,
    *,
    coefficients: int = 14,
    fisheye: bool = False,
    pose: bool = True,
    size: bool = True,
) -> None:
    """Refuse cameras that a format cannot hold, before a wrong file is written.

    Args:
        records: the cameras.
        format_name: what to call the format.
        coefficients: how many distortion coefficients it holds.
        fisheye: whether it holds fisheye cameras.
        pose: whether it needs to know where cameras stand.
        size: whether it needs the image size.
    """
    for record in records:
        what = ""
        if record.model == "fisheye" and not fisheye:
            what = "it is a fisheye, which the format cannot hold"
        elif any(record.distortion[coefficients:]):
            what = f"it has more than {coefficients} distortion coefficients, which the format cannot hold"
        elif pose and record.cam_from_world is None:
            what = "its pose is unknown; calibrate the extrinsics first"
        elif size and not all(np.isfinite(record.size_px)):
            what = "its image size is unknown, and the format needs it"
        if what:
            raise CalibrationError(f"{record.where} cannot be written as {format_name}: {what}")


def pixel_text(value: float) -> str:
    """A size: without decimals where it is whole."""
    return str(int(value)) if float(value).is_integer() else repr(float(value))
