"""Checks of the lenses: numbers that no real lens has, numbers that were not pinned down, changed lenses."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import torch

from calibration.boards.board import Board
from calibration.boards.detection import BoardView
from calibration.boards.selection import choose_views, usable_views
from calibration.cameras import Cameras
from calibration.checks.case import Case
from calibration.checks.printing import print_stretch
from calibration.checks.verdict import Check, check
from calibration.errors import CalibrationError
from calibration.lenses.intrinsics import calibrate_intrinsics, folds
from calibration.rig.extrinsics import fit_boards
from calibration.rig.schur import POSE
from calibration.rig.score import CornerErrors, eliminate, free_cameras, in_order, nuisance

_ASPECT = (0.015, 0.03)
_CENTER = (0.10, 0.15)
_FOCAL_STD = (0.01, 0.05)
_PLACE_STD = (0.02, 0.10)
_CHANGED = 1.5
_FAR_PX = 50.0
_SOME_VIEWS, _LEAST_VIEWS = 20, 6
_STRETCH, _STRETCH_FAIL, _STRETCH_GAIN, _STRETCH_SIGMAS = 0.01, 0.05, 0.1, 5.0
_ANGLES = "film the board at more angles, all over the image"


def square_pixels(case: Case) -> list[Check]:
    """Pixels of a real sensor are square."""
    found: list[Check] = []
    for name, (fx, fy) in zip(case.names, case.rig.cameras.focal_px.tolist(), strict=True):
        off = abs(fx / fy - 1.0)
        found.append(
            check(
                "square_pixels",
                100.0 * off,
                f"camera {name}: pixels would be {off:.1%} from square",
                "measure the printed board both ways and film it at more angles",
                "sensors' pixels are square to 0.1 %; a mirrored board pose gave 90 %, a stretched print "
                "as much as it is stretched",
                subject=name,
                unit="%",
                warn=100.0 * _ASPECT[0],
                fail=100.0 * _ASPECT[1],
            )
        )
    return found


def lens_center(case: Case) -> list[Check]:
    """The lens sits over the middle of the sensor."""
    cameras, found = case.rig.cameras, list[Check]()
    off_px = (cameras.center_px - (cameras.size_px - 1.0) / 2.0).abs().amax(-1)
    for name, off in zip(case.names, (off_px / cameras.size_px.amax(-1)).tolist(), strict=True):
        found.append(
            check(
                "lens_center",
                100.0 * off,
                f"camera {name}: the lens centre would be {off:.0%} of the image off the middle",
                _ANGLES,
                "good lenses are within 3 %; a mirrored board pose gave 45 %; a cropped video may be off too",
                subject=name,
                unit="%",
                warn=100.0 * _CENTER[0],
                fail=100.0 * _CENTER[1],
            )
        )
    return found


def folded_lens(case: Case) -> list[Check]:
    """A distortion that maps two directions to one pixel of the image."""
    return [
        check(
            "folded_lens",
            float(bad),
            f"camera {name}: the distortion {'folds' if bad else 'does not fold'} the image",
            _ANGLES,
            "no lens does that: the polynomial was not pinned down where the board never was",
            subject=name,
            fail=0.5,
        )
        for name, bad in zip(case.names, folds(case.rig.cameras).tolist(), strict=True)
    ]


def focal_known(case: Case) -> list[Check]:
    """How well the focal length is pinned down: an unknown one leaves the camera's distance open."""
    found: list[Check] = []
    for row, name in enumerate(case.names):
        variance = max(0.0, float(case.rig.covariance[row, POSE, POSE]))
        std = math.sqrt(variance) / float(case.rig.cameras.focal_px[row, 0])
        found.append(
            check(
                "focal_length",
                100.0 * std,
                f"camera {name}: the focal length is known to {std:.1%} only",
                "film the board closer to it, tilted, all over its image",
                "1 % of focal length is 1 % of distance; the truth lies two to three times as far off",
                subject=name,
                unit="%",
                warn=100.0 * _FOCAL_STD[0],
                fail=100.0 * _FOCAL_STD[1],
            )
        )
    return found


def place_known(case: Case) -> list[Check]:
    """How well each camera's place is pinned down, against its distance from the board."""
    found: list[Check] = []
    for name in case.names:
        spread, distance = case.spread_m(name), case.distance_m[name]
        found.append(
            check(
                "camera_place",
                100.0 * spread / distance,
                f"camera {name}: its place is known to {1e3 * spread:.0f} mm at {distance:.1f} m",
                f"film the board nearer to camera {name}, tilted both ways, together with other cameras",
                "beyond 2 % of the distance a mirrored or degenerate solution cannot be excluded",
                subject=name,
                unit="%",
                warn=100.0 * _PLACE_STD[0],
                fail=100.0 * _PLACE_STD[1],
            )
        )
    return found


def stretched_print(case: Case) -> list[Check]:
    """A print that is longer one way, told from lenses by boards that are turned in their plane."""
    if case.errors is None or (found := print_stretch(case.rig.cameras, case.errors)) is None:
        return []
    sure = abs(found.stretch) > _STRETCH_SIGMAS * found.std and found.rms_gain > _STRETCH_GAIN
    value = abs(found.stretch) if sure else 0.0
    text = f"no stretch of the print is seen (it would show beyond {max(0.01, 5.0 * found.std):.1%})"
    if sure:
        longer = "down than across" if found.stretch > 0 else "across than down"
        text = f"the printed board seems {value:.1%} longer {longer}"
    return [
        check(
            "print_aspect",
            100.0 * value,
            text,
            "measure ten squares both ways and print it again without fitting it to the page",
            "a print stretched by 3 % raised the error by 12 %; counted where describing it would lower the "
            "error by a tenth",
            unit="%",
            warn=100.0 * _STRETCH,
            fail=100.0 * _STRETCH_FAIL,
        )
    ]


def own_clip_lens(case: Case) -> list[Check]:
    """Whether a lens that was filmed for itself is the lens of the shared clip: zoom, focus, crop."""
    found: list[Check] = []
    if case.footage is None:
        return found
    board = case.footage.board
    for name in sorted(case.rig.own_lens_clip & set(case.footage.lens_views)):
        shared = _some(case.footage.views, name, board, case)
        own = _some(case.footage.lens_views[name], name, board, case)
        of_shared, of_own = _alone(shared, board, case, name), _alone(own, board, case, name)
        if of_shared is None or of_own is None:
            continue
        # Boards that are far away fit any focal length: then the lens that all cameras agreed on decides.
        ratio = max(
            _misfit(of_own, shared, board) / _misfit(of_shared, shared, board),
            _misfit(case.rig.cameras[[name]], own, board) / _misfit(of_own, own, board),
        )
        found.append(
            _changed("lens_clip", name, ratio, f"the lens of its own clip does not fit camera {name}")
        )
    return found


def stored_lens(case: Case) -> list[Check]:
    """Whether older lenses still fit, and whether they fit another camera better."""
    if case.errors is None or case.stored is None:
        return []
    known = [name for name in case.names if name in case.stored.names]
    errors, found = in_order(case.errors), list[Check]()
    for name in known:
        ratio = {other: _fixed(case, errors, name, case.stored[[other]]) for other in known}
        best = min(ratio, key=lambda other: ratio[other])
        text = f"the stored lens does not fit camera {name} any more"
        if best != name and ratio[best] * _CHANGED < ratio[name]:
            text = f"camera {name} has the stored lens of camera {best}: their files may be swapped"
        found.append(_changed("stored_lens", name, ratio[name], text))
    return found


def _fixed(case: Case, errors: CornerErrors, name: str, lens: Cameras) -> float:
    """Error of a camera's corners with that lens, in parts of what it is, poses of cameras and boards free.

    Linear in how far the lens moves each corner: no solve.
    """
    row = case.names.index(name)
    mine = errors.camera == row
    other = _of_size(lens, case, name).with_poses(case.rig.cameras.cam_from_world[[row]])
    moved = torch.zeros_like(errors.error_px)
    here = case.rig.cameras[[name]].project(errors.xyz_world[mine])[0][0]
    moved[mine] = (other.project(errors.xyz_world[mine])[0][0] - here).nan_to_num(_FAR_PX)
    sums = eliminate(case.rig.cameras, errors, moved)
    free = free_cameras(sums, lenses=False)
    cross = sums.whole[-1:][:, free]
    more = sums.whole[-1:, -1:] - cross @ nuisance(sums, free) @ cross.T
    return math.sqrt(1.0 + max(0.0, float(more)) / (2.0 * float(mine.sum())))


def _changed(kind: str, name: str, ratio: float, text: str) -> Check:
    good = f"camera {name}: the {'lens clip' if kind == 'lens_clip' else 'stored lens'} fits the shared clip"
    return check(
        kind,
        ratio,
        f"{text} (error {ratio:.1f} times that of a free lens)" if ratio > _CHANGED else good,
        "film the lens again with the zoom, focus and picture size of the take, or take the old one away",
        "other lenses gave 2.7 to 4.9 times the error of a free one, the right ones 1.0 to 1.2",
        subject=name,
        warn=_CHANGED,
        fail=math.inf if kind == "stored_lens" else 2.0 * _CHANGED,
    )


def _some(views: Sequence[BoardView], name: str, board: Board, case: Case) -> list[BoardView]:
    width, height = case.rig.cameras.size_px[case.names.index(name)].tolist()
    own = [view for view in usable_views(views) if view.camera == name]
    return choose_views(own, board, (int(width), int(height)), _SOME_VIEWS)


def _alone(views: Sequence[BoardView], board: Board, case: Case, name: str) -> Cameras | None:
    some = _some(views, name, board, case)
    if len(some) < _LEAST_VIEWS:
        return None
    width, height = case.rig.cameras.size_px[case.names.index(name)].tolist()
    try:
        return calibrate_intrinsics(some, board, (int(width), int(height))).camera
    except CalibrationError:
        return None


def _of_size(camera: Cameras, case: Case, name: str) -> Cameras:
    """A lens as it would be in images of another size of the same shape."""
    size = case.rig.cameras.size_px[[case.names.index(name)]]
    scale = (size / camera.size_px).nan_to_num(1.0)
    return replace(
        camera,
        names=(name,),
        size_px=size,
        focal_px=camera.focal_px * scale,
        center_px=(camera.center_px + 0.5) * scale - 0.5,
    )


def _misfit(camera: Cameras, views: Sequence[BoardView], board: Board) -> float:
    """Error with a lens as it is, the board free in every view; NaN without views."""
    alone = camera.with_poses(torch.eye(4, dtype=torch.float64)[None])
    numbered = [replace(view, frame=number) for number, view in enumerate(views)]
    fitted = fit_boards(alone, numbered, board)
    if fitted is None:
        return math.nan
    # Corners that do not fit count too: they are what a wrong lens leaves.
    return float(fitted.error_px.square().sum(-1).nanmean().sqrt())
