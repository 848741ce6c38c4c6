"""Learns where a detector puts its keypoints: ``make offsets``, or this module run with ``python -m``.

Many performances (bodies, dances, looks, rooms, camera heights) are filmed in the virtual studio and shown to
the detector. What it saw is held against the bodies, whose joints are known exactly, through true cameras:
for every keypoint and performance the constant offset, in the axes of the body part that carries it, that
explains all views best. Their mean goes into the data file that ``rigs.placements`` reads, and their spread
between performances with it.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mocap import files
from mocap.errors import MocapError
from mocap.settings import DetectSettings
from mocap.virtual.lessons import Lesson, film_lessons, read_lessons
from rigs.body import Body, load_body
from rigs.keypoints import mirrored_name
from rigs.placements import OFFSETS_FILE, OFFSETS_FORMAT, placements

FloatArray = NDArray[np.floating]

NUM_LESSONS = 64
_NU = 3.0
"""Degrees of freedom of the errors' Student distribution: outliers count little."""
_ROUNDS = 10
_PRIOR_M = 0.05
"""An offset that no view tells stays at zero: its standard deviation before anything is seen."""
_LEAST_SEEN = 20
"""Fewer views of a keypoint than this in a lesson say nothing."""
_LEAST_SIGMA_M = 0.005
"""Real people and clothes differ from rendered ones by so much at least."""
_TYPICAL_M = 0.015
"""Error of a sure keypoint in the picture's plane, about; only sets where the outliers begin."""


@dataclass(frozen=True, eq=False)
class Sighting:
    """What a detector saw of a body of which everything is known, in metres at the body's distance."""

    keypoint_names: tuple[str, ...]
    """K names."""
    error_m: FloatArray
    """(F, C, K, 2) seen minus expected with the present placements, right and down; NaN where unseen."""
    gain: FloatArray
    """(F, C, K, 2, 3) how the expected place moves with the keypoint's offset in rest axes."""
    toward: FloatArray
    """(F, C, K, 3) unit vectors from the keypoint to the camera, in the axes of the part that carries it."""
    score: FloatArray
    """(F, C, K) the detector's scores."""
    px_per_m: FloatArray
    """(F, C, K) pixels a metre at the keypoint."""


def sighting(lesson: Lesson, body: Body, set_name: str) -> Sighting:
    """Hold what was seen in a lesson against its body."""
    names = lesson.keypoint_names
    betas = torch.as_tensor(lesson.betas, dtype=torch.float64)
    rotation, xyz_joint = body.pose_frames(lesson.poses, lesson.trans, betas)
    model = body.detector_model(names, set_name)
    turn = torch.einsum("kj,fjab->fkab", model.offset_share, rotation).numpy()
    expected = model.pose(rotation, xyz_joint, betas)
    moved = lesson.cameras.jacobian(expected)
    away = lesson.cameras.centers_world.numpy()[None, :, None] - expected.numpy()[:, None]
    distance = np.linalg.norm(away, axis=-1, keepdims=True)
    px_per_m = lesson.cameras.focal_px.numpy().mean(-1)[None, :, None] / distance[..., 0]
    toward = np.einsum("fkab,fcka->fckb", turn, away / distance)
    return Sighting(
        keypoint_names=tuple(names),
        error_m=(lesson.xy_px - moved.xy_px.numpy()) / px_per_m[..., None],
        gain=np.einsum("fckia,fkab->fckib", moved.d_point.numpy(), turn) / px_per_m[..., None, None],
        toward=toward / np.linalg.norm(toward, axis=-1, keepdims=True),
        score=lesson.score,
        px_per_m=px_per_m,
    )


def constant_offset(seen: Sighting, keypoint: int) -> FloatArray | None:
    """(3,) metres, rest axes: what to add to a keypoint's present offset; None where it was hardly seen."""
    error = seen.error_m[:, :, keypoint].reshape(-1, 2)
    known = np.isfinite(error).all(-1)
    if known.sum() < _LEAST_SEEN:
        return None
    error, gain = error[known], seen.gain[:, :, keypoint].reshape(-1, 2, 3)[known]
    sigma = _TYPICAL_M / np.clip(seen.score[:, :, keypoint].reshape(-1)[known], 0.05, 1.0) ** 3
    offset = np.zeros(3)
    for _ in range(_ROUNDS):
        far = (((error - gain @ offset) / sigma[:, None]) ** 2).sum(-1)
        weight = (_NU + 2) / (_NU + far) / sigma**2
        normal = np.einsum("n,nia,nib->ab", weight, gain, gain) + np.eye(3) / _PRIOR_M**2
        offset = np.linalg.solve(normal, np.einsum("n,nia,ni->a", weight, gain, error))
    return offset


def learn(lessons: Sequence[Lesson], set_name: str) -> dict[str, dict[str, Any]]:
    """Offsets of a set's keypoints, on the left side and in the middle.

    Args:
        lessons: what to learn from; each counts the same.
        set_name: a key of ``rigs.keypoints.KEYPOINT_SETS``, the detector's.

    Returns:
        For each keypoint ``offset_m``, ``sigma_m`` and the number of ``lessons`` that saw it; both sides
        count for the left one.
    """
    body = load_body()
    found: dict[str, list[FloatArray]] = {}
    for lesson in lessons:
        seen = sighting(lesson, body, set_name)
        places = placements(set_name, seen.keypoint_names)
        for index, (name, place) in enumerate(zip(seen.keypoint_names, places, strict=True)):
            offset = constant_offset(seen, index)
            if offset is None:
                continue
            total = offset + np.array(place.offset_m)
            mirrored, mirror = mirrored_name(name), np.array([-1.0, 1.0, 1.0])
            if not _is_right(name):
                found.setdefault(name, []).append(total)
            if mirrored == name or _is_right(name):
                found.setdefault(mirrored, []).append(mirror * total)
    return {name: _summary(np.array(totals)) for name, totals in found.items()}


def _is_right(name: str) -> bool:
    return "right" in name.split("_")


def _summary(offset_m: FloatArray) -> dict[str, Any]:
    mean = offset_m.mean(0)
    spread = np.sqrt(((offset_m - mean) ** 2).mean()) if len(offset_m) > 1 else _LEAST_SIGMA_M
    return {
        "offset_m": [round(float(part), 4) for part in mean],
        "sigma_m": round(float(max(spread, _LEAST_SIGMA_M)), 4),
        "performances": len(offset_m),
    }


def write_offsets(path: Path, set_name: str, settings: DetectSettings, keypoints: dict[str, Any]) -> None:
    """Put one set's offsets into the data file; those of other sets stay."""
    sets = json.loads(path.read_text(encoding="utf-8"))["sets"] if path.is_file() else {}
    sets[set_name] = {
        "detector": f"{settings.detector} {settings.variant}",
        "keypoints": keypoints,
    }
    content = {"made_by": "python -m mocap.virtual.learn_offsets", "sets": sets}
    files.write_json(path, OFFSETS_FORMAT, 1, content)


def main(arguments: Sequence[str] | None = None) -> int:
    """Film, learn, write; a run that was stopped goes on when called again."""
    parser = argparse.ArgumentParser(prog="learn_offsets", description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path("offsets"), help="where the lessons are kept")
    parser.add_argument("--lessons", type=int, default=NUM_LESSONS, help="how many performances")
    parser.add_argument("--detector", default=DetectSettings().detector)
    parser.add_argument("--variant", default=DetectSettings().variant)
    parser.add_argument("--set", default="blazepose33", help="the detector's keypoint set")
    parser.add_argument("--out", type=Path, default=OFFSETS_FILE)
    told = parser.parse_args(arguments)
    settings = replace(DetectSettings(), detector=told.detector, variant=told.variant, max_people=1)
    torch.set_num_threads(1)
    try:
        film_lessons(told.folder, range(told.lessons), settings, progress=_say)
        lessons = list(read_lessons(told.folder, range(told.lessons)))
        write_offsets(told.out, told.set, settings, learn(lessons, told.set))
    except MocapError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def _say(what: str, done: float, total: float | None = None) -> None:
    sys.stderr.write(f"\r{what}: {done} of {total}")


if __name__ == "__main__":
    raise SystemExit(main())
