"""Accuracy and pace of ``reconstruct`` on synthetic takes:
``python tests/bench/solve_bench.py [SEED ...]``.

One row for each case, means over the seeds: mean error and acceleration error of the points, error of the
mean bone lengths, share of coordinates within one and two of the told deviations, coverage, and frames per
second of CPU and of wall time. The seeds should be ones that nobody developed on.

Then the same take from fewer and fewer cameras: errors, and beside them the deviations that were told, which
must agree: else the exit status is 1.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from scene import CHAIN, NAMES, Scene, make_scene

from mocap.errors import InputError
from mocap.reconstruct import observe, reconstruct, solve

CASES: dict[str, dict[str, float]] = {
    "8 x 1000": {},
    "4 x 300": {"cameras": 4, "frames": 300},
    "8 x 1000, lasting errors": {"rho": 0.9},
    "8 x 1000, scores say nothing": {"telling": False},
    "8 x 1000, 15 % swapped in bursts": {"swaps": 0.15, "burst": 30},
    "4 x 300, 15 % swapped in bursts": {"cameras": 4, "frames": 300, "swaps": 0.15, "burst": 30},
    "8 x 1000, 20 % swapped": {"swaps": 0.2},
}
FEWER: tuple[tuple[int, dict[str, float]], ...] = (
    *((cameras, {}) for cameras in (8, 6, 4, 3, 2, 1)),
    (8, {"rho": 0.9}),
)
"""Cameras on the ring, and what else is different."""
FEWER_COLUMNS = ("mm", "rms mm", "told mm", "in 1", "in 2", "seen")
AGREES = {"in 1": (0.63, 0.73), "in 2": (0.93, 0.97)}
"""Shares of coordinates within one and two of the told deviations: a normal error has 0.68 and 0.95."""
AGREES_LASTING = {"in 1": (0.60, 1.0), "in 2": (0.90, 1.0)}
"""The same where errors last."""
COLUMNS = ("mm", "p95 mm", "m/s²", "bone mm", "in 1", "in 2", "seen", "cpu fps", "wall fps")
BONES = [(NAMES.index(name), NAMES.index(parent)) for name, (parent, _, _) in CHAIN.items() if parent]


def score(scene: Scene) -> dict[str, float]:
    """Figures of one take."""
    cpu, wall = time.process_time(), time.perf_counter()
    observations, association = observe(scene.keypoints, scene.cameras, scene.clock)
    points, _ = solve(observations, association, scene.cameras)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    error = points.xyz_world[:, 0] - scene.truth
    length = np.linalg.norm(error, axis=-1) * 1e3
    rate_hz = observations.rate_hz
    jitter = np.linalg.norm(np.diff(error, 2, axis=0), axis=-1) * rate_hz**2
    sd = np.sqrt(np.diagonal(points.covariance[:, 0], axis1=-2, axis2=-1))
    ratio = np.abs(error) / sd
    bones = [_bone(points.xyz_world[:, 0], *bone) - _bone(scene.truth, *bone) for bone in BONES]
    figures = (
        np.nanmean(length),
        np.nanquantile(length, 0.95),
        np.sqrt(np.nanmean(jitter**2)),
        1e3 * np.mean(np.abs(bones)),
        np.nanmean(ratio < 1),
        np.nanmean(ratio < 2),
        np.isfinite(length).mean(),
        len(error) / cpu,
        len(error) / wall,
    )
    return dict(zip(COLUMNS, map(float, figures), strict=True))


def _bone(xyz: np.ndarray, a: int, b: int) -> float:
    return float(np.nanmedian(np.linalg.norm(xyz[:, a] - xyz[:, b], axis=-1)))


def told(scene: Scene) -> dict[str, float]:
    """Errors of one take beside what was told of them."""
    points, _ = reconstruct(scene.keypoints, scene.cameras, scene.clock)
    error = points.xyz_world[:, 0] - scene.truth
    variance = np.diagonal(points.covariance[:, 0], axis1=-2, axis2=-1)
    ratio = (np.abs(error) / np.sqrt(variance))[np.isfinite(error)]
    length = np.linalg.norm(error, axis=-1)
    figures = (
        1e3 * np.nanmean(length),
        1e3 * np.sqrt(np.nanmean(length**2)),
        1e3 * np.sqrt(np.nanmean(variance.sum(-1))),
        (ratio < 1).mean(),
        (ratio < 2).mean(),
        np.isfinite(length).mean(),
    )
    return dict(zip(FEWER_COLUMNS, map(float, figures), strict=True))


def fewer(seeds: list[int]) -> Iterator[tuple[str, dict[str, float] | str, bool]]:
    """Rows of name, figures or what was answered instead, and whether errors and deviations agree."""
    for cameras, options in FEWER:
        name = f"{cameras} x 600{', lasting errors' if options else ''}"
        try:
            rows = [told(make_scene(cameras, 600, seed=seed, swaps=0.0, **options)) for seed in seeds]
        except InputError as error:
            yield name, str(error), cameras == 1
            continue
        means = {column: float(np.mean([row[column] for row in rows])) for column in FEWER_COLUMNS}
        limits = AGREES_LASTING if options else AGREES
        yield name, means, all(low <= means[column] <= high for column, (low, high) in limits.items())


def main(seeds: list[int]) -> int:
    write = sys.stdout.write
    write(f"{'':36}" + "".join(f"{name:>9}" for name in COLUMNS) + "\n")
    for name, options in CASES.items():
        rows = [score(make_scene(**options, seed=seed)) for seed in seeds]  # type: ignore[arg-type]
        means = {column: float(np.mean([row[column] for row in rows])) for column in COLUMNS}
        write(f"{name:36}" + "".join(f"{means[column]:9.3g}" for column in COLUMNS) + "\n")
        sys.stdout.flush()
    write(f"\n{'':36}" + "".join(f"{name:>9}" for name in FEWER_COLUMNS) + "\n")
    kept = True
    for name, means, agree in fewer(seeds):
        row = means if isinstance(means, str) else "".join(f"{means[key]:9.3g}" for key in FEWER_COLUMNS)
        write(f"{name:36}{row}{'' if agree else '  NOT'}\n")
        sys.stdout.flush()
        kept &= agree
    return 0 if kept else 1


if __name__ == "__main__":
    raise SystemExit(main([int(word) for word in sys.argv[1:]] or [101, 102, 103]))
