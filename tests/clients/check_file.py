"""Compare exported files with the motion that they hold, through the eyes of the programs that read them.

Usage, from the repository: .venv/bin/python -m tests.clients.check_file FILE MOTION.npz [RIG]
Needs tests/clients/install.sh. Exit 1 when a joint of any frame is off by 0.05 mm or more in any of them.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from exporters import Character
from exporters.animation import animate
from exporters.axes import WORLD
from rigs.motion import Motion
from rigs.rig_names import load_rig_names

from .readers import READERS, Answer, NotInstalledError, Read, ReaderError, cannot_judge

MAX_ERROR_MM = 0.05
"""Five times what any client was seen to differ by on good files; a wrong digit is far above."""
MAX_TURN_DEG = 0.02
"""0.05 mm at the end of a bone of 15 cm."""
QUIRKS = {(".bvh", "Blender 5.0.1"): (0.5, 0.1)}
"""By default it turns a BVH's angles into angles about its own bones' axes, in single precision: near the
lock of those half the digits are lost. Told to make quaternions of them it has all. Millimetres, degrees."""
MAX_SKIN_MM = 0.1
MAX_RATE_ERROR = 1e-5
"""Relative; a frame in an hour at 30 Hz."""

Array = NDArray[np.float64]

SEEN: dict[tuple[str, str, float], list[Comparison]] = {}
"""Results of a run of tests by suffix, rig and rate, for the table at its end."""


@dataclass(frozen=True)
class Truth:
    """What a right file says; our world, metres."""

    names: tuple[str, ...]
    """N joints."""
    rate_hz: float
    """Frames a second."""
    joints: Array
    """(T, N, 3) where they are."""
    turns: Array | None = None
    """(T, N, 3, 3) how each has turned in the world since rest."""
    rest_xyz: Array | None = None
    """(N, 3) where they are at rest."""
    vertices: Array | None = None
    """(n, V, 3) the skin in the first, the middle and the last frame."""
    faces: NDArray[np.int64] | None = None
    """(F, 3) its triangles."""


@dataclass(frozen=True)
class Comparison:
    """How what one client read differs from the truth."""

    client: str
    max_mm: float
    mean_mm: float
    worst: str
    """Joint and frame of the largest difference, or what else is wrong."""
    usable: bool
    turn_deg: float = np.nan
    """Largest difference of a joint's turn since rest."""
    rest_mm: float = np.nan
    """Largest difference at rest."""
    skin_mm: float = np.nan
    """Largest difference of a vertex, where the client tells them."""


def joints_of(motion: Motion, names: Mapping[str, str]) -> Truth:
    """The joints of a motion alone; those that the rig leaves out do not count."""
    kept = [index for index, joint in enumerate(motion.joint_names) if joint in names]
    return Truth(
        tuple(names[motion.joint_names[index]] for index in kept),
        motion.mocap_framerate,
        motion.joints[:, kept],
    )


def on_rig(character: Character, rig: str, *, helpers: bool = True) -> Truth:
    """Every joint of the rig under its own name, and the skin, posed here by linear blending."""
    animation = animate(character, rig, WORLD, helpers=helpers)
    joints, turns = animation.joints_xyz(), animation.rotation.copy()
    for joint, parent in enumerate(animation.hierarchy.parents):
        if parent >= 0:
            turns[:, joint] = turns[:, parent] @ animation.rotation[:, joint]
    mesh = None if animation.mesh is None else animation.mesh.strongest(4)
    vertices = []
    for frame in sorted({0, (len(joints) - 1) // 2, len(joints) - 1}) if mesh else ():
        apart = mesh.vertices[:, None] - animation.rest_xyz
        posed = (turns[frame] @ apart[..., None])[..., 0] + joints[frame]
        vertices.append((mesh.weights[..., None] * posed).sum(1))
    return Truth(
        animation.hierarchy.names,
        animation.rate_hz,
        joints,
        turns,
        animation.rest_xyz,
        np.array(vertices) if mesh else None,
        mesh.faces if mesh else None,
    )


def compare(client: str, read: Read, truth: Truth, suffix: str = "") -> Comparison:
    """Joints of all frames against the truth; of a rate that the client samples more slowly, those it has."""
    step = round(truth.rate_hz / read.rate_hz) if client == "Autodesk SDK" and read.rate_hz else 1
    missing = sorted(set(truth.names) ^ set(read.names))
    if missing:
        return Comparison(client, np.inf, np.inf, f"joints differ: {', '.join(missing)}", False)
    order = [truth.names.index(name) for name in read.names]
    wanted = truth.joints[::step, order]
    if wanted.shape != read.joints.shape:
        found = f"{len(read.joints)} frames, not {len(wanted)}"
        return Comparison(client, np.inf, np.inf, found, False)
    error_mm = np.linalg.norm(read.joints - wanted, axis=-1) * 1000
    frame, joint = np.unravel_index(int(np.argmax(error_mm)), error_mm.shape)
    worst = f"{read.names[joint]}, frame {frame}"
    turn_deg = np.nan
    if truth.turns is not None:
        chord = np.linalg.norm(read.turns - truth.turns[::step, order], axis=(-1, -2))
        turn_deg = float(np.rad2deg(chord.max() / np.sqrt(2)))
    rest_mm = _rest_mm(read, truth, order, suffix)
    skin_mm = np.nan if client == "Autodesk SDK" else _skin_mm(read, truth)  # it sorts the vertices
    limit_mm, limit_deg = QUIRKS.get((suffix, client), (MAX_ERROR_MM, MAX_TURN_DEG))
    figures = (error_mm.max(), limit_mm), (turn_deg, limit_deg), (rest_mm, MAX_ERROR_MM)
    usable = not any(figure >= limit for figure, limit in (*figures, (skin_mm, MAX_SKIN_MM)))
    if len(wanted) > 1 and abs(read.rate_hz * step / truth.rate_hz - 1) > MAX_RATE_ERROR:
        worst, usable = f"plays at {read.rate_hz:.4f} Hz, not {truth.rate_hz:.4f}", False
    return Comparison(
        client, float(error_mm.max()), float(error_mm.mean()), worst, usable, turn_deg, rest_mm, skin_mm
    )


def _rest_mm(read: Read, truth: Truth, order: Sequence[int], suffix: str) -> float:
    """A BVH rests at the origin: its places count from the root."""
    if truth.rest_xyz is None:
        return np.nan
    found, wanted = read.rest[..., 3], truth.rest_xyz[order]
    if suffix == ".bvh":
        found, wanted = found - found[order.index(0)], wanted - wanted[order.index(0)]
    return float(np.linalg.norm(found - wanted, axis=-1).max() * 1000)


def _skin_mm(read: Read, truth: Truth) -> float:
    """Some clients give each triangle corners of its own."""
    if read.vertices is None or truth.vertices is None or truth.faces is None:
        return np.nan
    wanted = truth.vertices
    if read.vertices.shape[1] == truth.faces.size:
        wanted = wanted[:, truth.faces.ravel()]
    if read.vertices.shape != wanted.shape:
        return np.inf
    return float(np.linalg.norm(read.vertices - wanted, axis=-1).max() * 1000)


def judged(client: str, answer: Answer, truth: Truth, suffix: str = "") -> Comparison:
    """``compare``, of an answer that may be a refusal."""
    if isinstance(answer, ReaderError):
        return Comparison(client, np.inf, np.inf, str(answer), False)
    return compare(client, answer, truth, suffix)


def check_file(file: Path, truth: Truth) -> list[Comparison]:
    """Ask every client; one that is not installed or refuses the file is not usable."""
    results: list[Comparison] = []
    for name, client in READERS[file.suffix].items():
        reason = cannot_judge(file.suffix, name, truth.rate_hz)
        if reason:
            results.append(Comparison(name, np.nan, np.nan, f"not asked: {reason}", True))
            continue
        try:
            (answer,) = client.ask([file])
        except NotInstalledError as error:
            answer = ReaderError(str(error))
        results.append(judged(name, answer, truth, file.suffix))
    return results


def table(results: list[Comparison]) -> str:
    """The results for people."""
    lines = [
        f"{'client':16s}{'max mm':>10s}{'mean mm':>10s}{'turn deg':>10s}{'rest mm':>10s}{'skin mm':>10s}"
        "  worst"
    ]
    for row in results:
        verdict = "" if row.usable else "  WRONG"
        figures = (row.max_mm, row.mean_mm, row.turn_deg, row.rest_mm, row.skin_mm)
        lines.append(f"{row.client:16s}" + "".join(f"{x:10.4f}" for x in figures) + f"  {row.worst}{verdict}")
    return "\n".join(lines)


def main(file: str, motion_file: str, rig: str = "mixamo") -> int:
    """Print the table; 0 when every client agrees with the motion."""
    with np.load(motion_file) as arrays:
        motion = Motion.from_arrays(dict(arrays), where=motion_file)
    results = check_file(Path(file), joints_of(motion, load_rig_names(rig)))
    sys.stdout.write(table(results) + "\n")
    return 0 if all(row.usable for row in results) else 1


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
