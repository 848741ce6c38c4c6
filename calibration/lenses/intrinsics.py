"""The lenses of cameras, each from views of a board that it alone has to explain.

All cameras are solved in one batch: nothing links them, and many small steps cost no more than one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from calibration.boards.board import Board
from calibration.boards.detection import BoardView
from calibration.boards.selection import choose_views, coverage
from calibration.cameras import Cameras
from calibration.errors import CalibrationError
from calibration.lenses.guess import guess_focal, ideal_camera
from calibration.lenses.models import (
    FIRST,
    FISHEYE,
    KINDS,
    RATIONAL,
    USUAL,
    LensKind,
    as_kind,
    folds,
    give_up_folding,
)
from calibration.pnp import planar_poses
from calibration.rig.bundle import Bundle, BundleOptions, Problem, adjust, build
from calibration.rig.observations import Noise
from calibration.rig.schur import POSE

__all__ = [
    "Intrinsics",
    "IntrinsicsOptions",
    "IntrinsicsSummary",
    "adjust_lenses",
    "calibrate_intrinsics",
    "calibrate_lenses",
    "folds",
    "ideal_camera",
]

_GUESS_VIEWS = 20
"""Views that a first guess is made from."""
_TRIAL_VIEWS = 16
"""Views that ways to describe a lens are compared on, and as many to learn from."""
_LEAST_TRIAL = 16
"""Views in all below which the usual description is taken."""
_ODD = {RATIONAL: 1.05, FISHEYE: 1.05}
"""Handicaps of descriptions that few lenses need: by chance they predict 3 % better in one of three cameras
that do not need them; where they are needed the others are several times worse."""
_WIDE = 0.6
"""Focal lengths below this part of the image's width may belong to a fisheye."""
_RECTILINEAR = 0.4
"""Focal lengths below this part of the image's width, more than 100 degrees across, are odd for lenses that
keep straight lines straight, and usual for fisheyes."""
_QUICK = BundleOptions(tolerance=1e-4, max_iterations=12, rounds=2, uncertainty=False)
"""How trials are solved."""


@dataclass(frozen=True)
class IntrinsicsOptions:
    """How a lens is calibrated."""

    max_frames: int = 60
    """Views that are solved with, chosen for spread."""
    min_frames: int = 4
    """Fewer views are refused."""
    choose_kind: bool = True
    """Choose the distortion's coefficients by the error of unseen views; else the five usual ones."""
    bundle: BundleOptions = field(default_factory=BundleOptions)
    """How the adjustment is done."""


@dataclass(frozen=True)
class IntrinsicsSummary:
    """How a lens was calibrated."""

    num_views: int
    """Views of the board that were used."""
    rms_px: float
    """Root mean square reprojection error of the corners used."""
    focal_std: float
    """Standard deviation of the focal length, in parts of it."""
    coverage: float
    """Part of the image in which corners were seen."""
    distortion_terms: int
    """Radial coefficients that are free; fewer where more would fold the image or were of no use."""


@dataclass(frozen=True)
class Intrinsics:
    """A calibrated lens."""

    camera: Cameras
    """A batch of one, standing at the origin."""
    views: tuple[BoardView, ...]
    """The views that were used."""
    bundle: Bundle
    """The adjustment, with the board's pose in every view."""
    free_lens: Tensor
    """(1, 4 + D) bool, which of fx, fy, cx, cy and the coefficients the footage could be asked for."""
    summary: IntrinsicsSummary
    """How it went."""

    def padded(self, width: int) -> Intrinsics:
        """The same with this many distortion coefficients, the further ones 0 and not free."""
        more = width - self.camera.distortion.shape[-1]
        k = torch.nn.functional.pad(self.camera.distortion, (0, more))
        free = torch.nn.functional.pad(self.free_lens, (0, more))
        return replace(self, camera=replace(self.camera, distortion=k), free_lens=free)


def calibrate_intrinsics(
    views: Sequence[BoardView],
    board: Board,
    size_px: tuple[int, int],
    *,
    options: IntrinsicsOptions | None = None,
) -> Intrinsics:
    """Calibrate one camera's lens: pinhole or fisheye, with a distortion that never folds the image.

    Args:
        views: what the camera saw of the board.
        board: the board.
        size_px: width and height of the image.
        options: how.

    Raises:
        CalibrationError: too few views.
    """
    name = views[0].camera if views else "?"
    return calibrate_lenses({name: views}, board, {name: size_px}, options=options)[name]


def calibrate_lenses(
    views: Mapping[str, Sequence[BoardView]],
    board: Board,
    size_px: Mapping[str, tuple[int, int]],
    *,
    options: IntrinsicsOptions | None = None,
) -> dict[str, Intrinsics]:
    """Calibrate the lenses of several cameras, each from its own views.

    Args:
        views: by camera, what it saw of the board.
        board: the board.
        size_px: width and height of every camera's image.
        options: how.

    Raises:
        CalibrationError: too few views; the camera is named.
    """
    options = options or IntrinsicsOptions()
    chosen = {
        name: choose_views(some, board, size_px[name], options.max_frames) for name, some in views.items()
    }
    for name, some in chosen.items():
        if len(some) < options.min_frames:
            raise CalibrationError(
                f"camera {name}: the board can be used in {len(some)} of its frames, at least "
                f"{options.min_frames} are needed; film it closer, slower and all over the image"
            )
    kinds = {name: USUAL for name in chosen}
    guesses = {name: _guess(some, board, size_px[name], USUAL) for name, some in chosen.items()}
    if options.choose_kind:
        kinds = _choose_kinds(chosen, board, guesses)
        guesses = {
            name: guess
            if kinds[name].model == "pinhole"
            else _guess(chosen[name], board, size_px[name], FISHEYE)
            for name, guess in guesses.items()
        }
    problem, kept = _problem(chosen, board, guesses, kinds, options.min_frames)
    problem = _poses_first(problem, options.bundle)
    bundle, free = adjust_lenses(problem, replace(options.bundle, turn_over=False))
    found: dict[str, Intrinsics] = {}
    first = 0
    for row, name in enumerate(chosen):
        found[name] = _one(row, first, tuple(kept[name]), (bundle, free), size_px[name])
        first += len(kept[name])
    return found


def adjust_lenses(problem: Problem, options: BundleOptions | None = None) -> tuple[Bundle, Tensor]:
    """Adjust, giving up radial terms one by one in the cameras whose distortion would fold the image.

    Returns:
        The adjustment, and (C, 4 + D) which lens parameters were left free.
    """
    options = options or BundleOptions()
    bundle = adjust(problem, options)
    while (less := give_up_folding(bundle.cameras, problem.free_lens)) is not None:
        problem = replace(problem, cameras=less[0], world_from_board=bundle.world_from_board)
        problem = replace(problem, free_lens=less[1])
        bundle = adjust(problem, replace(options, turn_over=False))
    return bundle, problem.free_lens


def _guess(views: Sequence[BoardView], board: Board, size_px: tuple[int, int], kind: LensKind) -> Cameras:
    some = choose_views(views, board, size_px, _GUESS_VIEWS)
    focal_px = guess_focal(some, board, size_px, kind.model).focal_px
    return ideal_camera(views[0].camera, size_px, focal_px, kind.model)


def _problem(
    views: Mapping[str, Sequence[BoardView]],
    board: Board,
    guesses: Mapping[str, Cameras],
    kinds: Mapping[str, LensKind],
    least: int,
) -> tuple[Problem, dict[str, list[BoardView]]]:
    """All lenses in one problem, every view with a pose of its own; and the views that allow one."""
    kept: dict[str, list[BoardView]] = {name: [] for name in views}
    numbered: list[BoardView] = []
    poses: dict[int, Tensor] = {}
    every = [view for some in views.values() for view in some]
    guessed = joined([guesses[name] for name in views])
    for view, both in zip(every, planar_poses(every, guessed, board), strict=True):
        if both:
            kept[view.camera].append(view)
            poses[len(numbered)] = both[0].cam_from_board
            numbered.append(replace(view, frame=len(numbered)))
    for name, some in kept.items():
        if len(some) < least:
            raise CalibrationError(
                f"camera {name}: no pose explains what it saw; check the board's columns and rows"
            )
    cameras, free = _batch([guesses[name] for name in views], [kinds[name] for name in views])
    problem = build(numbered, board, cameras, poses)
    return replace(problem, free_pose=torch.zeros_like(problem.free_pose), free_lens=free), kept


def _batch(each: Sequence[Cameras], kinds: Sequence[LensKind]) -> tuple[Cameras, Tensor]:
    """Cameras described by their kinds, and (C, 4 + D) what may change."""
    parts = [as_kind(camera, kind) for camera, kind in zip(each, kinds, strict=True)]
    cameras = joined([camera for camera, _ in parts])
    width = FIRST + cameras.distortion.shape[1]
    free = [torch.nn.functional.pad(one, (0, width - one.shape[1])) for _, one in parts]
    return cameras, torch.cat(free)


def joined(each: Sequence[Cameras]) -> Cameras:
    """Cameras as one batch, as many coefficients as the one with the most has."""
    width = max(camera.distortion.shape[1] for camera in each)
    pad = torch.nn.functional.pad
    return Cameras(
        names=tuple(name for camera in each for name in camera.names),
        size_px=torch.cat([camera.size_px for camera in each]),
        focal_px=torch.cat([camera.focal_px for camera in each]),
        center_px=torch.cat([camera.center_px for camera in each]),
        distortion=torch.cat(
            [pad(camera.distortion, (0, width - camera.distortion.shape[1])) for camera in each]
        ),
        cam_from_world=torch.cat([camera.cam_from_world for camera in each]),
        model=tuple(model for camera in each for model in camera.model),
    )


def _choose_kinds(
    views: Mapping[str, Sequence[BoardView]], board: Board, guesses: Mapping[str, Cameras]
) -> dict[str, LensKind]:
    """For each camera the description that predicts unseen views best, by a margin if it is an odd one."""
    some = {name: _spread(own, 2 * _TRIAL_VIEWS) for name, own in views.items() if len(own) >= _LEAST_TRIAL}
    error: dict[str, dict[LensKind, float]] = {name: {} for name in some}
    for model in ("pinhole", "fisheye"):
        kinds = [kind for kind in KINDS if kind.model == model]
        asked = {n: own for n, own in some.items() if model == "pinhole" or _may_be_fisheye(guesses[n])}
        if asked:
            mine = {name: guesses[name] for name in asked}
            if model == "fisheye":
                mine = {
                    name: _guess(own, board, _size(guesses[name]), FISHEYE) for name, own in asked.items()
                }
            for kind, each in zip(kinds, _unseen_px(asked, board, mine, kinds), strict=True):
                for name, value in each.items():
                    error[name][kind] = value
    chosen = dict.fromkeys(views, USUAL)
    for name, each in error.items():
        if each:
            handicap = _handicaps(guesses[name])
            ranked = sorted(each.items(), key=lambda item: item[1] * handicap.get(item[0], 1.0))
            chosen[name] = ranked[0][0]
    return chosen


def _handicaps(guess: Cameras) -> dict[LensKind, float]:
    """What a description's error is taken for larger by, for a lens of this focal length."""
    if float(guess.focal_px[0, 0]) >= _RECTILINEAR * float(guess.size_px[0, 0]):
        return _ODD
    return {kind: _ODD[FISHEYE] for kind in KINDS if kind != FISHEYE}


def _may_be_fisheye(guess: Cameras) -> bool:
    return float(guess.focal_px[0, 0]) < _WIDE * float(guess.size_px.amax())


def _size(camera: Cameras) -> tuple[int, int]:
    width, height = camera.size_px[0].tolist()
    return int(width), int(height)


def _spread(views: Sequence[BoardView], count: int) -> list[BoardView]:
    step = max(1.0, len(views) / count)
    return [views[int(i * step)] for i in range(min(count, len(views)))]


def _unseen_px(
    views: Mapping[str, Sequence[BoardView]],
    board: Board,
    guesses: Mapping[str, Cameras],
    kinds: Sequence[LensKind],
) -> list[dict[str, float]]:
    """For each kind and camera, the error of every other view under the lens that the rest gave."""
    first = dict.fromkeys(views, kinds[0])
    halves = [{name: own[start::2] for name, own in views.items()} for start in (0, 1)]
    try:
        learnt = _poses_first(_problem(halves[0], board, guesses, first, 1)[0], _QUICK)
        rough = {name: learnt.cameras[[name]] for name in views}
        unseen = _problem(halves[1], board, rough, first, 1)[0]
    except CalibrationError:
        return [{} for _ in kinds]
    found: list[dict[str, float]] = []
    for kind in kinds:
        cameras, free = as_kind(learnt.cameras, kind)
        cameras.distortion[:, 0] = learnt.cameras.distortion[:, 0]
        bundle, _ = adjust_lenses(replace(learnt, cameras=cameras, free_lens=free), _QUICK)
        fixed = replace(unseen, cameras=bundle.cameras, free_lens=torch.zeros_like(free))
        error = adjust(fixed, _QUICK).error_px.norm(dim=-1)
        seen = unseen.observations.seen
        # The worst corners are left out: a blurred view tells nothing of a lens.
        found.append(
            {
                name: float(error[row][seen[row]].nan_to_num(nan=1e3).quantile(0.8))
                for row, name in enumerate(views)
            }
        )
    return found


def _one(
    row: int,
    first: int,
    views: tuple[BoardView, ...],
    solved: tuple[Bundle, Tensor],
    size_px: tuple[int, int],
) -> Intrinsics:
    """One camera's part of the batch, whose views begin with the ``first`` board pose."""
    bundle, free = solved
    name = bundle.cameras.names[row]
    mine = slice(first, first + len(views))
    error, used = bundle.error_px[row : row + 1], bundle.used[row : row + 1]
    noise = 1.4826 * float(error[used].abs().median()) if used.any() else bundle.noise.alone
    own = replace(
        bundle,
        cameras=bundle.cameras[row : row + 1],
        frames=tuple(view.frame for view in views),
        world_from_board=bundle.world_from_board[mine],
        error_px=error,
        used=used,
        shared=bundle.shared[row : row + 1],
        noise=Noise(max(noise, 1e-3), bundle.noise.shared, bundle.noise.common),
        parameter_std=bundle.parameter_std[row : row + 1],
        covariance=bundle.covariance[row : row + 1],
    )
    columns = [FIRST + i for i in ((0, 1, 4, 5, 6, 7) if own.cameras.model[0] == "pinhole" else range(4))]
    radial = [column for column in columns if column < free.shape[1]]
    summary = IntrinsicsSummary(
        num_views=len(views),
        rms_px=own.rms_px(),
        focal_std=float(own.parameter_std[0, POSE] / own.cameras.focal_px[0, 0]),
        coverage=coverage(views, {name: size_px})[name],
        distortion_terms=int(free[row, radial].sum()),
    )
    return Intrinsics(own.cameras, views, own, free[row : row + 1], summary)


def _poses_first(problem: Problem, options: BundleOptions) -> Problem:
    """A start for the whole lens: focal length and first radial term alone, which any views determine."""
    free = torch.zeros_like(problem.free_lens)
    free[:, [0, 1, FIRST]] = True
    quick = replace(
        options, tolerance=max(options.tolerance, 1e-4), max_iterations=15, rounds=2, uncertainty=False
    )
    bundle = adjust(replace(problem, free_lens=free), quick)
    return replace(problem, cameras=bundle.cameras, world_from_board=bundle.world_from_board)
