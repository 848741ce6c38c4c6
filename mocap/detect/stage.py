"""Stage 3: footage to 2D keypoints, the cameras side by side, each in a process of its own.

Where an accelerator takes batches, they share one process and ask the network together.
A run that is killed goes on where it was, and its result is that of an undisturbed one to the last bit; where
they share one process, to the rounding of batches.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mocap.detect.crew import Crew
from mocap.detect.detector import DetectorFamily
from mocap.detect.hands import hand_files
from mocap.detect.models import sha256_of
from mocap.detect.worker import Job
from mocap.errors import ConfigError
from mocap.files import fingerprint
from mocap.keypoints import CameraKeypoints
from mocap.progress import Progress, silent
from mocap.settings import DetectSettings
from mocap.video import Clip, open_clip

log = logging.getLogger(__name__)

_ALGORITHM = 2
"""Raised when the same footage, settings and weights begin to give another result: old chunks end there."""


@dataclass(frozen=True)
class DetectSummary:
    """What the detection came to, camera by camera."""

    frames: dict[str, int]
    """Frames read."""
    people: dict[str, int]
    """Most people in one frame."""
    share_with_person: dict[str, float]
    """Share of the frames in which there is anybody."""
    score: dict[str, float | None]
    """Median score of the keypoints; None where there is nobody."""
    weights: dict[str, str]
    """Weights used, by role."""
    warnings: tuple[str, ...]
    """What the user should look at."""


def detect(
    clips: Mapping[str, Path],
    *,
    settings: DetectSettings,
    scratch: Path,
    save: Callable[[str, CameraKeypoints], None],
    progress: Progress = silent,
) -> DetectSummary:
    """Find the keypoints of all people in all cameras' clips.

    Args:
        clips: video file or image folder by camera name.
        settings: detector and variant.
        scratch: folder for partial results, one folder in it for each camera; a later call continues them.
        save: called with camera name and keypoints as soon as a camera is finished.
        progress: told the frames done in all cameras together.

    Raises:
        ConfigError: no such detector or variant.
        InputError: a clip cannot be read; cameras that are finished are saved, and partial results kept.
        MissingModel: the weights are not on this machine and cannot be fetched.
    """
    family = _family(settings)
    opened = {camera: open_clip(path) for camera, path in clips.items()}
    files = family.files(settings) | (hand_files() if settings.hands else {})
    hashes = {role: sha256_of(path) for role, path in files.items()}
    together = len(opened) > 1 and family.together(files)
    jobs = {
        camera: Job(
            clip=str(clip.path.absolute()),
            folder=str((scratch / camera).absolute()),
            key=_key(clip, settings, hashes),
            files={role: str(path) for role, path in files.items()},
            settings=asdict(settings),
            overlap=together or _cores() > len(opened),
        )
        for camera, clip in opened.items()
    }
    total = sum(clip.num_frames for clip in opened.values())
    results: dict[str, dict[str, Any]] = {}
    warnings: list[str] = []

    def finish(camera: str) -> None:
        chunks = jobs[camera].chunks()
        keypoints = chunks.assemble(opened[camera].size_px)
        save(camera, keypoints)
        chunks.remove()
        results[camera] = _facts(keypoints)
        warnings.extend(_warnings(camera, opened[camera], keypoints))

    crew = Crew(jobs, finish, lambda done: progress("detect", done, max(total, done)), together=together)
    crew.work(processes=_cores())
    for warning in warnings:
        log.warning("%s", warning)
    ordered = {camera: results[camera] for camera in clips}
    columns = {key: {camera: facts[key] for camera, facts in ordered.items()} for key in _FACTS}
    weights = {role: path.stem for role, path in files.items()}
    return DetectSummary(**columns, weights=weights, warnings=(*crew.warnings, *warnings))


def _cores() -> int:
    """Processors that this program may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _family(settings: DetectSettings) -> DetectorFamily:
    from mocap.detect import DETECTORS

    if settings.detector not in DETECTORS:
        raise ConfigError(
            f"detect.detector {settings.detector!r} is unknown", todo=f"choose from {', '.join(DETECTORS)}"
        )
    return DETECTORS[settings.detector]


def _key(clip: Clip, settings: DetectSettings, hashes: Mapping[str, str]) -> dict[str, Any]:
    """Everything that the keypoints of a clip depend on."""
    if clip.path.is_dir():
        stats = [(path.name, path.stat()) for path in sorted(clip.path.iterdir())]
        footage: Any = [[name, stat.st_size, stat.st_mtime_ns] for name, stat in stats]
    else:
        footage = fingerprint(clip.path)
    return {
        "algorithm": _ALGORITHM,
        "footage": footage,
        "settings": asdict(settings),
        "weights": dict(hashes),
    }


_FACTS = ("frames", "people", "share_with_person", "score")


def _facts(keypoints: CameraKeypoints) -> dict[str, Any]:
    seen = np.isfinite(keypoints.score).any(axis=(1, 2))
    return {
        "frames": len(seen),
        "people": keypoints.score.shape[1],
        "share_with_person": round(float(seen.mean()), 4) if len(seen) else 0.0,
        "score": round(float(np.nanmedian(keypoints.score)), 4) if seen.any() else None,
    }


def _warnings(camera: str, clip: Clip, keypoints: CameraKeypoints) -> list[str]:
    facts = _facts(keypoints)
    found = []
    if facts["people"] == 0:
        found.append(f"camera {camera}: nobody was found in its {facts['frames']} frames")
    if clip.num_frames_exact and facts["frames"] < clip.num_frames:
        found.append(f"camera {camera}: only {facts['frames']} of {clip.num_frames} frames could be decoded")
    return found
