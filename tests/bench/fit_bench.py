"""Pace, growth and memory of ``fit``, from the files of a take to its motion file.

    python tests/bench/fit_bench.py [FOLDER]

Takes of 250 to 16,000 frames in eight cameras, and of 1000 frames in two to sixteen, each in a process of its
own: keypoints, cameras, clocks and 3D points lie on disk, and the clock runs from there to the finished
motion file; starting Python is told apart. Writes ``growth.json`` and the plot ``growth.png`` to FOLDER
(``bench-fit``). ``slope`` is the exponent of the growth, 1 where it is linear. The plot needs matplotlib
(the extra ``bench``).
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

FRAMES = (250, 500, 1000, 2000, 4000, 8000, 16000)
CAMERAS = (2, 4, 8, 16)
USUAL = (8, 1000)
"""Cameras and frames that the goal is about: 300 frames/s."""


def prepare(folder: Path, cameras: int, frames: int) -> None:
    """A session whose next stage is ``fit``."""
    from scene import make_scene

    from mocap.reconstruct import reconstruct
    from mocap.session import Session

    scene = make_scene(cameras, frames, seed=5, rate_hz=30.0)
    session = Session.create(folder)
    take = session.take("take1")
    for name, keypoints in scene.keypoints.items():
        take.save_keypoints(name, keypoints)
    session.save_cameras(scene.cameras)
    take.save_clock(scene.clock)
    take.save_cameras(scene.cameras)
    take.save_points(reconstruct(scene.keypoints, scene.cameras, scene.clock)[0])


def measure(folder: Path) -> dict[str, float]:
    """Seconds and memory of the stage, in this process."""
    begun = time.perf_counter()
    from mocap.progress import silent
    from mocap.session import Session
    from mocap.settings import Settings
    from mocap.take_stages import fit

    take = Session.open(folder).take("take1")
    started, cpu = time.perf_counter(), time.process_time()
    fit(take, Settings(), silent)
    wall, cpu = time.perf_counter() - started, time.process_time() - cpu
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
    return {"seconds": wall, "cpu_seconds": cpu, "import_seconds": started - begun, "gigabytes": memory}


def growth(folder: Path) -> list[dict[str, float]]:
    """Figures of all takes."""
    cases = [(USUAL[0], frames) for frames in FRAMES] + [(cameras, USUAL[1]) for cameras in CAMERAS]
    rows: list[dict[str, float]] = []
    for cameras, frames in dict.fromkeys(cases):
        with tempfile.TemporaryDirectory(dir=folder) as session:
            for step in ("prepare", "measure"):
                call = [sys.executable, __file__, step, session, str(cameras), str(frames)]
                told = subprocess.run(call, check=True, capture_output=True, text=True).stdout
        row = {"cameras": cameras, "frames": frames, **json.loads(told)}
        rows.append(row)
        sys.stdout.write(
            f"{cameras:3d} cameras {frames:6d} frames: {row['seconds']:7.2f} s, "
            f"{frames / row['seconds']:5.0f} frames/s, CPU {row['cpu_seconds']:7.2f} s, "
            f"{row['gigabytes']:5.2f} GB\n"
        )
        sys.stdout.flush()
    return rows


def slope(rows: list[dict[str, float]], by: str) -> float:
    """Exponent of the growth, by least squares on logarithms."""
    size, seconds = ([row[key] for row in rows] for key in (by, "seconds"))
    return float(np.polyfit(np.log(size), np.log(seconds), 1)[0])


def plot(rows: list[dict[str, float]], path: Path) -> None:
    """Seconds by frames and by cameras, and memory by frames."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    by_frames = sorted((row for row in rows if row["cameras"] == USUAL[0]), key=lambda row: row["frames"])
    by_cameras = sorted((row for row in rows if row["frames"] == USUAL[1]), key=lambda row: row["cameras"])
    figure, axes = pyplot.subplots(1, 3, figsize=(13, 4), layout="constrained")
    for axis, some, by, what, unit in (
        (axes[0], by_frames, "frames", "seconds", "s"),
        (axes[1], by_cameras, "cameras", "seconds", "s"),
        (axes[2], by_frames, "frames", "gigabytes", "GB"),
    ):
        sizes, values = ([row[key] for row in some] for key in (by, what))
        axis.plot(sizes, values, "o-", label="measured")
        if what == "seconds":
            middle = len(sizes) // 2
            straight = [values[middle] * size / sizes[middle] for size in sizes]
            axis.plot(sizes, straight, "k:", label="in proportion")
            axis.set(xscale="log", yscale="log", title=f"growth exponent {slope(some, by):.2f}")
        axis.set(xlabel=by, ylabel=f"{what} [{unit}]")
        axis.grid(alpha=0.3)
        axis.legend()
    figure.suptitle("mocap fit: files to motion file")
    figure.savefig(path, dpi=110)


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    rows = growth(folder)
    (folder / "growth.json").write_text(json.dumps(rows, indent=1))
    plot(rows, folder / "growth.png")
    for by, fixed, value in (("frames", "cameras", USUAL[0]), ("cameras", "frames", USUAL[1])):
        some = [row for row in rows if row[fixed] == value]
        sys.stdout.write(f"growth exponent by {by}: {slope(some, by):.2f}\n")


if __name__ == "__main__":
    if len(sys.argv) == 5:
        where, count, length = Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
        if sys.argv[1] == "prepare":
            prepare(where, count, length)
        else:
            sys.stdout.write(json.dumps(measure(where)))
    else:
        main(Path(sys.argv[1] if len(sys.argv) > 1 else "bench-fit"))
