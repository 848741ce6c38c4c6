"""Checks of the files: what they show of the board, and whether they are the files that they should be."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import torch

from calibration.boards.detection import BoardView
from calibration.boards.selection import coverage, usable_views
from calibration.cameras import Cameras
from calibration.checks.case import Case
from calibration.checks.verdict import Check, check

_FOUND = (0.05, 0.01)
_CORNERS = 0.5
_IMAGE = 0.15
_SAME_PX, _SAME_PART, _SAME_FRAMES = 0.5, 0.8, 5
_SWAP_FAR, _SWAP_NEAR = 0.05, 0.01


def board_found(case: Case) -> list[Check]:
    """In how many images the board could be used, and whether markers were seen without it."""
    footage, found = case.footage, list[Check]()
    if footage is None:
        return found
    for name, images in footage.examined.items():
        usable = sum(view.camera == name for view in usable_views(footage.views))
        found.append(
            check(
                "board_found",
                100.0 * usable / max(images, 1),
                f"the board can be used in {usable} of {images} images of camera {name}",
                f"show the board to camera {name} for longer, closer, and in better light",
                "a dozen well spread views save a lens; below one image in a hundred the board is mistaken",
                subject=name,
                unit="%",
                warn=100.0 * _FOUND[0],
                fail=100.0 * _FOUND[1],
                low_is_bad=True,
            )
        )
        marked = footage.with_markers.get(name, 0)
        if marked > _CORNERS * images:
            found.append(
                check(
                    "board_description",
                    100.0 * usable / marked,
                    f"of {marked} images of camera {name} with markers {usable} show the board's corners",
                    "compare columns, rows, dictionary and inverted of [board] with the print",
                    "columns and rows swapped or miscounted gave 9.7 markers an image and no corner",
                    subject=name,
                    unit="%",
                    warn=100.0 * _CORNERS,
                    low_is_bad=True,
                )
            )
    return found


def image_coverage(case: Case) -> list[Check]:
    """Which part of each image has seen corners: outside it the distortion is a guess."""
    if case.footage is None:
        return []
    sizes = {
        name: (int(width), int(height))
        for name, (width, height) in zip(case.names, case.rig.cameras.size_px.tolist(), strict=True)
    }
    views = [*case.footage.views, *(v for own in case.footage.lens_views.values() for v in own)]
    seen = coverage([view for view in usable_views(views) if view.camera in sizes], sizes)
    return [
        check(
            "image_coverage",
            100.0 * part,
            f"corners were seen in {part:.0%} of the image of camera {name}",
            f"bring the board to the edges and corners of the image of camera {name}",
            "a distortion is known where corners were; with 17 to 42 % points repeated to 0.3 mm there",
            subject=name,
            unit="%",
            warn=100.0 * _IMAGE,
            low_is_bad=True,
        )
        for name, part in seen.items()
    ]


def duplicate_files(case: Case) -> list[Check]:
    """Two cameras that saw the same thing, pixel for pixel."""
    if case.footage is None:
        return []
    by_camera: dict[str, dict[int, BoardView]] = {name: {} for name in case.names}
    for view in usable_views(case.footage.views):
        by_camera.setdefault(view.camera, {})[view.frame] = view
    found: list[Check] = []
    for one, other in combinations(case.names, 2):
        frames = sorted(by_camera[one].keys() & by_camera[other].keys())
        if len(frames) < _SAME_FRAMES:
            continue
        part = float(np.mean([_same(by_camera[one][f], by_camera[other][f], case) for f in frames]))
        text = f"cameras {one} and {other} see different pictures"
        if part > _SAME_PART:
            text = f"cameras {one} and {other} see the same picture in {part:.0%} of their frames"
        found.append(
            check(
                "duplicate_files",
                100.0 * part,
                text,
                "one clip was copied under both names: put the right one in its place",
                "two cameras never agree on a corner to half a pixel but by chance",
                subject=f"{one} {other}",
                unit="%",
                fail=100.0 * _SAME_PART,
            )
        )
    return found


def _same(one: BoardView, other: BoardView, case: Case) -> bool:
    _, here, there = np.intersect1d(one.ids.numpy(), other.ids.numpy(), return_indices=True)
    if len(here) < 4:
        return False
    apart = (one.xy_px[here] - other.xy_px[there]).norm(dim=-1)
    return float(apart.median()) < _SAME_PX * case.px()


def swapped_files(case: Case) -> list[Check]:
    """Whether two cameras stand where the older calibration has each other."""
    stored = case.stored
    if stored is None:
        return []
    names = [n for n in case.names if n in stored.names and stored.posed[stored.names.index(n)]]
    if len(names) < 3:
        return []
    ours, older = (_distances(cameras, names) for cameras in (case.rig.cameras, stored))
    now = _mismatch(ours, older, list(range(len(names))))
    best, pair = now, ""
    for one, other in combinations(range(len(names)), 2):
        order = list(range(len(names)))
        order[one], order[other] = other, one
        if (value := _mismatch(ours, older, order)) < best:
            best, pair = value, f"{names[one]} {names[other]}"
    swapped = now > _SWAP_FAR and best < max(_SWAP_NEAR, 0.2 * now)
    text = "the cameras stand as in the stored calibration, or none has another's place"
    if swapped:
        text = f"cameras {' and '.join(pair.split())} stand where the stored calibration has each other"
    return [
        check(
            "swapped_files",
            float(swapped),
            text,
            "their files may be swapped: check which camera made which",
            "distances between cameras: off by more than 5 %, and right within 1 % with two names exchanged",
            subject=pair if swapped else "",
            warn=0.5,
        )
    ]


def _distances(cameras: Cameras, names: list[str]) -> torch.Tensor:
    """(C, C) distances of the cameras in parts of their middle: the scale may have changed."""
    centers = cameras[names].centers_world
    apart = torch.cdist(centers, centers)
    return apart / apart[apart > 0].median()


def _mismatch(ours: torch.Tensor, older: torch.Tensor, order: list[int]) -> float:
    return float((ours - older[order][:, order]).abs().max())


def stored_sizes(case: Case) -> list[Check]:
    """Images of another shape than when the lens was stored: cropped, or turned."""
    if case.stored is None:
        return []
    found: list[Check] = []
    for row, name in enumerate(case.names):
        if name not in case.stored.names:
            continue
        size, old = case.rig.cameras.size_px[row], case.stored.size_px[case.stored.names.index(name)]
        off = float((size[0] / size[1]) / (old[0] / old[1]) - 1.0)
        (width, height), (old_width, old_height) = size.tolist(), old.tolist()
        found.append(
            check(
                "picture_shape",
                100.0 * abs(off),
                f"images of camera {name} are {width:.0f}x{height:.0f}, {old_width:.0f}x{old_height:.0f} "
                "in the stored calibration",
                "record as before, without cropping or turning, or calibrate the lens anew",
                "a lens can be scaled to another size of the same shape only",
                subject=name,
                unit="%",
                warn=1.0,
            )
        )
    return found
