"""A virtual studio: rig, room, people, board and faults, filmed into clips with exact truth beside them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from calibration.boards.board import Board
from calibration.cameras import Cameras
from mocap.clip_writer import ClipWriter
from mocap.virtual.board_path import BoardPath, BoardSession
from mocap.virtual.performer import DressedBody, Performer
from mocap.virtual.plate import render_board
from mocap.virtual.render import CameraView, RgbImage, render_people
from mocap.virtual.rig import CameraRing, build_cameras, ring_of
from mocap.virtual.room import Room
from rigs.motion import Motion

FloatArray = NDArray[np.floating]

_NOISE_BANK = 64
"""The noise picture is this much larger than the image each way: a random part is taken for each frame."""
_EXPOSURES = 4
"""Instants that an exposure is made of."""


@dataclass(frozen=True)
class Faults:
    """What is wrong with the footage; cameras that are not named have nothing wrong."""

    start_late_s: Mapping[str, float] = field(default_factory=dict)
    """Seconds by which a camera's clip of the performance begins after the take's time 0."""
    board_late_s: Mapping[str, float] = field(default_factory=dict)
    """The same for the board clip."""
    drift_ppm: Mapping[str, float] = field(default_factory=dict)
    """Drift of a camera's clock in both clips: take time = late + (1 + drift * 1e-6) * camera time."""
    line_delay_s: Mapping[str, float] = field(default_factory=dict)
    """Rolling shutter in both clips: row y is taken so many seconds times y after the frame's time."""
    dropped: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """Frames of the performance that a camera lost; the times of the others stay true."""
    noise: float = 1.5
    """Sensor noise, standard deviation in grey levels of 255."""
    truncated: Mapping[str, float] = field(default_factory=dict)
    """The share of a performance clip's file that was written before the camera died."""
    knocked_deg: Mapping[str, float] = field(default_factory=dict)
    """How far a camera was turned about the vertical between the board and the performance."""


@dataclass(frozen=True)
class Studio:
    """Everything that footage is made from; equal studios make equal footage."""

    ring: CameraRing = field(default_factory=CameraRing)
    """The cameras."""
    room: Room = field(default_factory=Room)
    """What stands behind."""
    board: BoardSession = field(default_factory=BoardSession)
    """The board footage."""
    performers: tuple[Performer, ...] = (Performer(),)
    """Who performs."""
    seconds: float = 5.0
    """Length of the performance."""
    rate_hz: float = 30.0
    """Frames a second of the performance."""
    faults: Faults = field(default_factory=Faults)
    """What is wrong with the footage."""
    blur_px: float = 0.6
    """Blur of lens and sensor, standard deviation."""
    exposure_s: float = 0.0
    """How long a frame is exposed, its time in the middle: what moves is blurred; 0 takes no time."""
    crf: float = 21.0
    """x264's quality of the clips; higher is worse."""
    seed: int = 0
    """Of the noise."""

    @property
    def num_board_frames(self) -> int:
        """Frames of a board clip."""
        return round(self.board.seconds * self.board.rate_hz)

    @property
    def num_frames(self) -> int:
        """Frames of a performance clip that lost none."""
        return round(self.seconds * self.rate_hz)

    def cameras(self) -> Cameras:
        """The true cameras while the board was shown."""
        return build_cameras(self.ring)

    def take_cameras(self) -> Cameras:
        """The true cameras during the performance: the same but for those that were knocked."""
        cameras = self.cameras()
        poses = cameras.cam_from_world.clone()
        for name, angle_deg in self.faults.knocked_deg.items():
            index = cameras.names.index(name)
            poses[index] = _turned(poses[index], cameras.centers_world[index], float(np.radians(angle_deg)))
        return replace(cameras, cam_from_world=poses)

    def frame_times(self, camera: str) -> tuple[FloatArray, FloatArray]:
        """Times of a camera's performance frames.

        Returns:
            camera_s: (F,) on the camera's own clock, from its first frame slot.
            take_s: (F,) on the take's clock.
        """
        lost = set(self.faults.dropped.get(camera, ()))
        kept = np.array([index for index in range(self.num_frames) if index not in lost])
        camera_s = kept / self.rate_hz
        return camera_s, self._passed(camera, camera_s) + self.faults.start_late_s.get(camera, 0.0)

    def _passed(self, camera: str, camera_s: FloatArray) -> FloatArray:
        """True seconds since a camera's first frame, by seconds on its clock."""
        return camera_s * (1 + 1e-6 * self.faults.drift_ppm.get(camera, 0.0))

    def _instants(self, camera: str, num_rows: int) -> FloatArray:
        """(S, num_rows) seconds after a frame's time at which rows from first to last are exposed."""
        height = self.ring.size_px[1]
        rows = np.linspace(0, height - 1, num_rows) * self.faults.line_delay_s.get(camera, 0.0)
        number = _EXPOSURES if self.exposure_s > 0 else 1
        return ((np.arange(number) + 0.5) / number - 0.5)[:, None] * self.exposure_s + rows

    def view(self, camera: str, cameras: Cameras | None = None) -> CameraView:
        """What a camera sees of the room; a second or two of work, so keep it for many pictures.

        Args:
            camera: its name.
            cameras: where the cameras stand; by default as in ``cameras()``.
        """
        return CameraView((cameras or self.cameras())[camera], self.room, blur_px=self.blur_px)

    def take_view(self, camera: str, board_view: CameraView | None = None) -> CameraView:
        """What a camera sees during the performance: the board's view, unless it was knocked since."""
        if board_view is not None and camera not in self.faults.knocked_deg:
            return board_view
        return self.view(camera, self.take_cameras())

    def board_frames(self, camera: str, view: CameraView | None = None) -> Iterator[RgbImage]:
        """The pictures of one camera's board clip, without noise."""
        view = view or self.view(camera)
        times = self._passed(camera, np.arange(self.num_board_frames) / self.board.rate_hz)
        path = BoardPath(self.board, self.cameras())
        instants = self._instants(camera, view.height)
        moves = bool(np.ptp(instants) > 0)
        for time_s in times + self.faults.board_late_s.get(camera, 0.0):
            pose = path.at(time_s + instants) if moves else path.at(np.array(time_s))
            yield render_board(view, self.board.board, pose)

    def take_frames(self, camera: str, view: CameraView | None = None) -> Iterator[RgbImage]:
        """The pictures of one camera's performance clip, without noise."""
        view = view or self.take_view(camera)
        _, take_s = self.frame_times(camera)
        rolls = self.faults.line_delay_s.get(camera, 0.0) != 0
        instants = self._instants(camera, 2 if rolls else 1)
        times = (take_s[:, None, None] + instants).ravel()
        people = [
            (DressedBody(one), one.motion(times, seconds=self.seconds, rate_hz=self.rate_hz))
            for one in self.performers
        ]
        for frame in np.arange(len(times)).reshape(len(take_s), *instants.shape):
            pictures = [
                render_people(view, [(body, *_mesh(view, body, motion, rows)) for body, motion in people])
                for rows in frame
            ]
            yield pictures[0] if len(pictures) == 1 else _mean_picture(pictures)

    def noisy(self, pictures: Iterator[RgbImage], seed: int) -> Iterator[RgbImage]:
        """Pictures with sensor noise; a seed gives the same noise again."""
        import cv2

        rng = np.random.default_rng([self.seed, seed])
        width, height = self.ring.size_px
        shape = (height + _NOISE_BANK, width + _NOISE_BANK, 3)
        bank = np.round(rng.normal(0, self.faults.noise, shape)).astype(np.int16)
        for picture in pictures:
            row, column = rng.integers(0, _NOISE_BANK, 2)
            noise = bank[row : row + height, column : column + width]
            yield cv2.add(picture, noise, dtype=cv2.CV_8U) if self.faults.noise > 0 else picture

    def film_board(self, camera: str, path: Path, view: CameraView | None = None) -> Iterator[int]:
        """Write one camera's board clip; yields the number of frames written so far."""
        pictures = self.noisy(self.board_frames(camera, view), 2 * self._index(camera))
        with ClipWriter(path, self.ring.size_px, self.board.rate_hz, self.crf) as clip:
            for number, picture in enumerate(pictures, 1):
                clip.write(picture)
                yield number

    def film_take(self, camera: str, path: Path, view: CameraView | None = None) -> Iterator[int]:
        """Write one camera's performance clip; yields the number of frames written so far."""
        pictures = self.noisy(self.take_frames(camera, view), 2 * self._index(camera) + 1)
        camera_s, _ = self.frame_times(camera)
        with ClipWriter(path, self.ring.size_px, self.rate_hz, self.crf) as clip:
            for number, (picture, time_s) in enumerate(zip(pictures, camera_s, strict=True), 1):
                clip.write(picture, time_s=float(time_s))
                yield number
        if camera in self.faults.truncated:
            content = path.read_bytes()
            path.write_bytes(content[: int(len(content) * self.faults.truncated[camera])])

    def _index(self, camera: str) -> int:
        return self.cameras().names.index(camera)


def small_studio(
    *, seconds: float = 1.0, num_cameras: int = 2, size_px: tuple[int, int] = (640, 360)
) -> Studio:
    """A studio for tests: half-size pictures, few frames."""
    ring = ring_of(num_cameras, size_px=size_px)
    return Studio(ring=ring, seconds=seconds, board=BoardSession(seconds=3.0, rate_hz=5.0))


def demo_board() -> Board:
    """The board of the demo: large squares, because 720 lines of picture show it across a whole stage."""
    return Board(square_m=0.10, marker_m=0.08)


def _mesh(
    view: CameraView, body: DressedBody, motion: Motion, rows: NDArray[np.integer]
) -> tuple[FloatArray, FloatArray]:
    """Vertices and normals (V, 3) as a frame has them: of one pose, or of two while the shutter rolls.

    Args:
        view: the camera.
        body: whose mesh.
        motion: its poses.
        rows: which pose the picture's first row sees, and which its last, if that is another.
    """
    vertices, normals = body.at(motion.poses[rows[0]], motion.trans[rows[0]])
    if len(rows) > 1:
        last = body.at(motion.poses[rows[-1]], motion.trans[rows[-1]])
        share = rolled_share(view.camera, vertices, last[0])
        vertices = vertices + share * (last[0] - vertices)
        normals = normals + share * (last[1] - normals)
    return vertices.astype(np.float32), normals.astype(np.float32)


def rolled_share(camera: Cameras, first: FloatArray, last: FloatArray) -> FloatArray:
    """(..., 1) share of the way from ``first`` to ``last`` where a rolling shutter sees moving points.

    Args:
        camera: a batch of one.
        first: (..., 3) metres, world: places when the first row is taken.
        last: (..., 3) when the last row is.
    """
    height = float(camera.size_px[0, 1])
    share = np.full((*first.shape[:-1], 1), 0.5)
    for _ in range(3):  # a row is reached the sooner the nearer it is: the error shrinks by the speed in rows
        place = torch.from_numpy(np.asarray(first + share * (last - first), np.float64))
        xy_px, _ = camera.project(place.reshape(1, -1, 3))
        share = (xy_px.reshape(*first.shape[:-1], 2)[..., 1:].numpy() / (height - 1)).clip(0, 1)
    return share


def _mean_picture(pictures: Sequence[RgbImage]) -> RgbImage:
    """The mean of pictures of one size."""
    total = np.zeros(pictures[0].shape, np.uint16)
    for picture in pictures:
        total += picture
    return ((total + len(pictures) // 2) // len(pictures)).astype(np.uint8)


def _turned(cam_from_world: torch.Tensor, center: torch.Tensor, angle: float) -> torch.Tensor:
    """A pose after its camera was turned about the vertical through its centre."""
    cosine, sine = float(np.cos(angle)), float(np.sin(angle))
    turn = torch.tensor([[cosine, -sine, 0.0], [sine, cosine, 0.0], [0.0, 0.0, 1.0]], dtype=torch.float64)
    pose = cam_from_world.clone()
    pose[:3, :3] = cam_from_world[:3, :3] @ turn.T
    pose[:3, 3] = -pose[:3, :3] @ center
    return pose
