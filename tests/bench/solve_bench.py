"""Accuracy and pace of ``reconstruct`` on synthetic takes:
``python tests/bench/solve_bench.py [SEED ...]``.

One row for each case, means over the seeds: mean error and acceleration error of the points, error of the
mean bone lengths, share of coordinates within one and two of the told deviations, coverage, and frames per
second of CPU and of wall time. The seeds should be ones that nobody developed on.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from scene import CHAIN, NAMES, Scene, make_scene

from mocap.reconstruct import observe, solve

CASES: dict[str, dict[str, float]] = {
    "8 x 1000": {},
    "4 x 300": {"cameras": 4, "frames": 300},
    "8 x 1000, lasting errors": {"rho": 0.9},
    "8 x 1000, scores say nothing": {"telling": False},
    "8 x 1000, 15 % swapped in bursts": {"swaps": 0.15, "burst": 30},
    "4 x 300, 15 % swapped in bursts": {"cameras": 4, "frames": 300, "swaps": 0.15, "burst": 30},
    "8 x 1000, 20 % swapped": {"swaps": 0.2},
}
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


def main(seeds: list[int]) -> None:
    write = sys.stdout.write
    write(f"{'':36}" + "".join(f"{name:>9}" for name in COLUMNS) + "\n")
    for name, options in CASES.items():
        rows = [score(make_scene(**options, seed=seed)) for seed in seeds]  # type: ignore[arg-type]
        means = {column: float(np.mean([row[column] for row in rows])) for column in COLUMNS}
        write(f"{name:36}" + "".join(f"{means[column]:9.3g}" for column in COLUMNS) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main([int(word) for word in sys.argv[1:]] or [101, 102, 103])
