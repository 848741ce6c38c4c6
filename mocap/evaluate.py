"""How good a detector is on COCO-style truth: AP, AR, OKS, PCK, F1; and what a frame costs."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from mocap.errors import ConfigError, InputError
from mocap.importers.text_files import read_json
from mocap.importers.view import triples
from mocap.keypoint_metrics import (
    FoundPeople,
    LabelledPeople,
    average_precision,
    average_recall,
    found_agreement,
    oks,
    pck,
)
from mocap.keypoints import FloatArray
from mocap.settings import DetectSettings
from rigs.keypoints import KEYPOINT_SETS

_COUNT = len(KEYPOINT_SETS["coco17"])
_PCK_SHARE = 0.2
"""Of the longer side of the person's box: a keypoint that near is correct."""
_FOUND = 0.5
"""Similarity at which somebody counts as found, for F1, OKS and PCK."""


@dataclass(frozen=True)
class Evaluation:
    """Found people against labelled ones."""

    images: int
    """Images of the truth."""
    people: int
    """Labelled people with keypoints."""
    ap: float
    """COCO's AP, the mean over similarities 0.50 to 0.95."""
    ap50: float
    """The same at 0.50."""
    ap75: float
    """The same at 0.75."""
    ar: float
    """COCO's AR, the mean over the same similarities."""
    f1: float
    """Of precision and recall of all who were found, at a similarity of 0.5."""
    oks: float
    """Mean similarity of those who were found to whom they are."""
    pck: float
    """Share of their keypoints within 0.2 of the longer side of the person's box."""
    latency_ms: float | None = None
    """Median time of a frame, where the detector ran here."""
    cpu_s: float | None = None
    """Processor seconds of a frame, where the detector ran here."""


def evaluate(found: Path, truth: Path, *, settings: DetectSettings | None = None) -> Evaluation:
    """Compare what a detector found with COCO annotations.

    Args:
        found: COCO results (JSON); or a folder with the images, on which a detector then runs.
        truth: COCO annotations of people with 17 keypoints; of further ones the first 17 count.
        settings: which detector, for a folder.

    Raises:
        InputError: files that cannot be used, or of other images.
    """
    images, people = _truth(truth)
    if not found.is_dir():
        return _compared(_results(found, images), people, images)
    results, seconds, cpu_s = _detected(found, images, settings or DetectSettings())
    outcome = _compared(results, people, images)
    return replace(outcome, latency_ms=1e3 * float(np.median(seconds)), cpu_s=cpu_s / max(len(seconds), 1))


def _compared(
    found: Mapping[int, FoundPeople], people: Mapping[int, LabelledPeople], images: Mapping[int, str]
) -> Evaluation:
    given, true = [found[image] for image in images], [people[image] for image in images]
    precision, recall = average_precision(given, true), average_recall(given, true)
    similar: list[float] = []
    right: list[tuple[FloatArray, FloatArray, float]] = []
    for one, labelled in zip(given, true, strict=True):
        for index, match, likeness in _pairs(one, labelled):
            similar.append(likeness)
            wanted = np.where(labelled.labelled[match][:, None], labelled.xy_px[match], np.nan)
            right.append((one.xy_px[index], wanted, float(labelled.box_px[match, 2:].max())))
    share = (
        pck(
            np.stack([a for a, _, _ in right]), np.stack([b for _, b, _ in right]),
            np.array([c for _, _, c in right]), alpha=_PCK_SHARE,
        )
        if right else 0.0
    )  # fmt: skip
    counted = sum(int((p.labelled.any(1) & ~p.crowd).sum()) for p in true)
    return Evaluation(
        len(images), counted, float(precision.mean()), float(precision[0]), float(precision[5]),
        float(recall.mean()), found_agreement(given, true, threshold=_FOUND).f1,
        float(np.mean(similar)) if similar else 0.0, share,
    )  # fmt: skip


def _pairs(found: FoundPeople, people: LabelledPeople) -> list[tuple[int, int, float]]:
    """Who of the found is which of the labelled, the most similar first, each once."""
    likeness = oks(found.xy_px, people) * people.labelled.any(1)
    pairs: list[tuple[int, int, float]] = []
    while likeness.size and likeness.max() >= _FOUND:
        one, other = (int(index) for index in np.unravel_index(likeness.argmax(), likeness.shape))
        pairs.append((one, other, float(likeness[one, other])))
        likeness[one], likeness[:, other] = 0, 0
    return pairs


def _truth(path: Path) -> tuple[dict[int, str], dict[int, LabelledPeople]]:
    """File names and people of the images."""
    content = read_json(path)
    if not isinstance(content, Mapping) or not {"images", "annotations"} <= set(content):
        raise InputError("holds no COCO annotations", where=path, todo="give images and annotations as JSON")
    try:
        images = {int(entry["id"]): str(entry.get("file_name", "")) for entry in content["images"]}
        rows: dict[int, list[Mapping[str, Any]]] = {image: [] for image in images}
        for entry in content["annotations"]:
            rows[int(entry["image_id"])].append(entry)
        return images, {image: _labelled(entries, path) for image, entries in rows.items()}
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"has an entry without {error}", where=path) from error


def _labelled(entries: Sequence[Mapping[str, Any]], path: Path) -> LabelledPeople:
    keypoints = np.zeros((len(entries), _COUNT, 3))
    for index, entry in enumerate(entries):
        own = triples(entry["keypoints"], str(path))
        if len(own) < _COUNT:
            raise InputError(f"a person has {len(own)} keypoints and not {_COUNT}", where=path)
        keypoints[index] = own[:_COUNT]
    return LabelledPeople(
        keypoints[..., :2],
        keypoints[..., 2] > 0,
        np.array([float(entry["area"]) for entry in entries]),
        np.array([entry["bbox"] for entry in entries], dtype=np.float64).reshape(-1, 4),
        np.array([bool(entry.get("iscrowd", 0)) for entry in entries], dtype=bool),
    )


def _results(path: Path, images: Mapping[int, str]) -> dict[int, FoundPeople]:
    content = read_json(path)
    if not isinstance(content, list) or not all(isinstance(entry, Mapping) for entry in content):
        raise InputError("holds no list of COCO results", where=path)
    rows: dict[int, list[FloatArray]] = {image: [] for image in images}
    scores: dict[int, list[float]] = {image: [] for image in images}
    for index, entry in enumerate(content):
        where = f"{path}, entry {index}"
        if "keypoints" not in entry:
            raise InputError("holds boxes of people and no keypoints", where=where)
        image, score = entry.get("image_id"), entry.get("score", 1.0)
        if image not in rows or not isinstance(score, int | float):
            raise InputError(f"is of image {image!r}, which the truth does not have", where=where)
        person = triples(entry["keypoints"], where)
        if len(person) < _COUNT:
            raise InputError(f"a person has {len(person)} keypoints and not {_COUNT}", where=where)
        rows[image].append(person[:_COUNT, :2])
        scores[image].append(float(score))
    return {image: FoundPeople(_stacked(rows[image]), np.array(scores[image])) for image in images}


def _stacked(rows: Sequence[FloatArray]) -> FloatArray:
    return np.nan_to_num(np.array(rows, dtype=np.float64).reshape(-1, _COUNT, 2))


def _detected(
    folder: Path, images: Mapping[int, str], settings: DetectSettings
) -> tuple[dict[int, FoundPeople], list[float], float]:
    """What a detector finds in each image by itself, seconds of each, and processor seconds of all."""
    from mocap.detect import DETECTORS
    from mocap.image_folder import read_image

    if settings.detector not in DETECTORS:
        raise ConfigError(f"no detector {settings.detector!r}", todo=f"choose from {', '.join(DETECTORS)}")
    family = DETECTORS[settings.detector]
    files = family.files(settings)
    detector = family.create(files, settings)
    names, begin = detector.keypoint_names, detector.state()
    if missing := [name for name in KEYPOINT_SETS["coco17"] if name not in names]:
        raise ConfigError(f"{settings.detector} finds no {missing[0]}", todo="it cannot be judged by COCO")
    order = [names.index(name) for name in KEYPOINT_SETS["coco17"]]
    results: dict[int, FoundPeople] = {}
    seconds: list[float] = []
    cpu_s = 0.0
    for image, name in images.items():
        if not (folder / name).is_file():
            raise InputError("there is no such image, which the truth names", where=folder / name)
        rgb = read_image(folder / name)
        detector.restore(begin)  # each image is a beginning
        wall, cpu = time.perf_counter(), time.process_time()
        found = detector.step(rgb, 0.0)
        seconds.append(time.perf_counter() - wall)
        cpu_s += time.process_time() - cpu
        score = np.nan_to_num(found.score[:, order]).mean(-1)
        results[image] = FoundPeople(_stacked(list(found.xy_px[:, order])), score)
    return results, seconds, cpu_s
