"""From rendered pixels to joints: own calibration, own 2D keypoints, against the exact truth.

    python tests/bench/pixels_bench.py [FOLDER]

Three performances that nothing was learned from and no setting was chosen on (bodies, dances, looks, rooms
and rigs are drawn from seeds of their own): a fast dance and a slow one in four cameras, two people close
together in five. Each goes through the ordinary chain, the dance also from three and two of its cameras.
Prints means over the limb joints in millimetres, without any alignment, the error of their acceleration, how
far bone lengths vary, and how far the 2D keypoints lie from where they are expected. Half an hour on two
idle cores where nothing is in FOLDER yet; a run that was stopped goes on.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from mocap import pipeline
from mocap.metrics import LIMB_KEYPOINTS, acceleration_error
from mocap.session import Session
from mocap.virtual.board_path import BoardSession
from mocap.virtual.cast import draw_dance, draw_performer, draw_room
from mocap.virtual.compare import LIMB_BONES, compare_cameras, compare_keypoints, joint_errors_m
from mocap.virtual.demo import TAKE, film_session
from mocap.virtual.rig import ring_of
from mocap.virtual.studio import Studio, demo_board
from rigs.motion import Motion

FIRST_SEED = 9000
"""Lessons have seeds below a thousand and other streams."""
LIMIT_MM = {"fast dance": 18.0, "slow dance": 17.0, "two people": 20.0, "3 cameras": 21.0, "2 cameras": 32.0}
LIMIT_ACCELERATION = 4.0


def fast_dance() -> Studio:
    """Arms above the head, kicks, turns, jumps, over a metre each way."""
    return _studio(FIRST_SEED + 1, 4, seconds=8.0, beat_s=0.42)


def slow_dance() -> Studio:
    """The same at a quarter of the pace."""
    return _studio(FIRST_SEED + 2, 4, seconds=8.0, beat_s=1.5, energy=0.5)


def two_people() -> Studio:
    """Two people who dance 0.7 m from each other."""
    return _studio(FIRST_SEED + 3, 5, people=2, seconds=6.0, beat_s=0.6, energy=0.5, reach_m=0.12)


TAKES: dict[str, Callable[[], Studio]] = {
    "fast dance": fast_dance,
    "slow dance": slow_dance,
    "two people": two_people,
}


def _studio(seed: int, cameras: int, *, seconds: float, people: int = 1, **dance: float) -> Studio:
    rng = np.random.default_rng(seed)
    places = [(-0.6, 0.4)] if people == 1 else [(-0.95, 0.35), (-0.25, 0.45)]
    performers = tuple(
        draw_performer(rng, draw_dance(rng, seconds, **dance), start_m=place) for place in places
    )
    return Studio(
        ring=ring_of(cameras, seed=seed),
        room=draw_room(rng),
        board=BoardSession(board=demo_board(), seconds=6.0 * cameras, seed=seed),
        performers=performers,
        seconds=seconds,
        seed=seed,
    )


def with_cameras(session: Session, keep: Sequence[str], folder: Path) -> Session:
    """A copy of a session whose take was seen by some of its cameras only; 2D and calibration stay."""
    if not folder.exists():
        shutil.copytree(session.root, folder)
    take = Session.open(folder).take(TAKE)
    for name, path in take.clips().items():
        if name not in keep:
            path.unlink()
            take.keypoints_file(name).unlink(missing_ok=True)
    return Session.open(folder)


def judge(session: Session, truth: Session) -> dict[str, float]:
    """Figures of one session: the mean over its true people, each against the nearest motion found."""
    here, true = session.take(TAKE), truth.take(TAKE)
    found = {name: here.load_motion(name) for name in here.motion_files()}
    rows: list[dict[str, float]] = []
    for name in true.motion_files():
        motion = true.load_motion(name)
        errors = {other: joint_errors_m(one, motion) for other, one in found.items()}
        best = min(errors, key=lambda other: float(errors[other].mean()))
        rows.append({"joints mm": 1e3 * float(errors[best].mean()), **_moving(found[best], motion)})
    return {key: float(np.mean([row[key] for row in rows])) for key in rows[0]}


def _moving(found: Motion, true: Motion) -> dict[str, float]:
    """The error of acceleration, on the found motion's own instants, and how far its bones vary."""
    inside = found.time_s <= true.time_s[-1] + 1e-6
    seen = found.joints[inside][:, [found.joint_names.index(name) for name in LIMB_KEYPOINTS]]
    told = true.joints[:, [true.joint_names.index(name) for name in LIMB_KEYPOINTS]]
    flat = told.reshape(len(told), -1)
    at = np.stack([np.interp(found.time_s[inside], true.time_s, column) for column in flat.T], -1)
    ends = [[found.joints[:, found.joint_names.index(name)] for name in bone] for bone in LIMB_BONES]
    lengths = np.stack([np.linalg.norm(upper - lower, axis=-1) for upper, lower in ends], -1)
    return {
        "acceleration m/s²": acceleration_error(seen, at.reshape(seen.shape), found.mocap_framerate),
        "bone std mm": 1e3 * float(lengths.std(0).max()),
    }


def run(folder: Path) -> list[tuple[str, dict[str, float], float]]:
    """Film what is not filmed yet, run the chain, judge; rows of name, figures and limit."""
    rows: list[tuple[str, dict[str, float], float]] = []
    for name, make in TAKES.items():
        root = folder / name.replace(" ", "_")
        truth = film_session(root, make(), {"bench": name})
        if not pipeline.run(root).usable:
            sys.stdout.write(f"{name}: the calibration failed\n")
            continue
        session = Session.open(root)
        figures = judge(session, truth)
        for figure in (
            *compare_keypoints(session.take(TAKE), truth.take(TAKE))[:2],
            *compare_cameras(session.load_cameras(), truth.load_cameras())[:1],
        ):
            figures[f"{figure.name} {figure.unit}"] = figure.value
        rows.append((name, figures, LIMIT_MM[name]))
        if name == "fast dance":
            rows += _fewer(session, truth, root)
    return rows


def _fewer(session: Session, truth: Session, root: Path) -> list[tuple[str, dict[str, float], float]]:
    rows: list[tuple[str, dict[str, float], float]] = []
    for number in (3, 2):
        keep = session.load_cameras().names[:number]
        less = with_cameras(session, keep, root.with_name(f"{root.name}_{number}"))
        pipeline.run(less.root)
        rows.append((f"{number} cameras", judge(less, truth), LIMIT_MM[f"{number} cameras"]))
    return rows


def main() -> int:
    """Print the table; 1 where a limit is not kept."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        rows = run(folder)
    kept = len(rows) == len(LIMIT_MM)
    for name, figures, limit in rows:
        good = figures["joints mm"] <= limit and figures["acceleration m/s²"] <= LIMIT_ACCELERATION
        kept &= good and figures["bone std mm"] < 1e-3
        told = "  ".join(f"{key} {value:.2f}" for key, value in figures.items())
        sys.stdout.write(f"{name:<12} limit {limit:g} mm  {'ok ' if good else 'NOT'}  {told}\n")
    return 0 if kept else 1


if __name__ == "__main__":
    raise SystemExit(main())
