"""Compare an exported file with the motion it was made from, through the eyes of the programs that read it.

Usage, from the repository: .venv/bin/python -m tests.clients.check_file FILE MOTION.npz [RIG]
Needs tests/clients/install.sh. Exit 1 when a joint of any frame is off by 0.05 mm or more in any of them.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from exporters import Character
from exporters.axes import WORLD
from rigs.motion import Motion
from rigs.rig_names import load_rig_names

from .readers import READERS, NotInstalledError, Read, ReaderError, cannot_judge

MAX_ERROR_MM = 0.05
"""Five times what any client was seen to differ by on good files; a wrong digit is far above."""
MAX_RATE_ERROR = 1e-5
"""Relative; a frame in an hour at 30 Hz."""


SEEN: dict[tuple[str, str, float], list[Comparison]] = {}
"""Results of a run of tests by suffix, rig and rate, for the table at its end."""


@dataclass(frozen=True)
class Comparison:
    """How one client's joints differ from the motion's."""

    client: str
    max_mm: float
    mean_mm: float
    worst: str
    """Joint and frame of the largest difference, or what else is wrong."""
    usable: bool


def compare(client: str, read: Read, motion: Motion, names: Mapping[str, str]) -> Comparison:
    """Joints of all frames against the motion's; joints that the rig leaves out do not count."""
    wanted = {names[joint]: index for index, joint in enumerate(motion.joint_names) if joint in names}
    missing = sorted(set(wanted) ^ set(read.names))
    if missing:
        return Comparison(client, np.inf, np.inf, f"joints differ: {', '.join(missing)}", False)
    truth = motion.joints[:, [wanted[name] for name in read.names]]
    if truth.shape != read.joints.shape:
        found = f"{len(read.joints)} frames, not {len(truth)}"
        return Comparison(client, np.inf, np.inf, found, False)
    error_mm = np.linalg.norm(read.joints - truth, axis=-1) * 1000
    frame, joint = np.unravel_index(int(np.argmax(error_mm)), error_mm.shape)
    worst = f"{read.names[joint]}, frame {frame}"
    usable = bool(error_mm.max() < MAX_ERROR_MM)
    if len(truth) > 1 and abs(read.rate_hz / motion.mocap_framerate - 1) > MAX_RATE_ERROR:
        worst, usable = f"plays at {read.rate_hz:.4f} Hz, not {motion.mocap_framerate:.4f}", False
    return Comparison(client, float(error_mm.max()), float(error_mm.mean()), worst, usable)


def on_rig(character: Character, rig: str, *, helpers: bool = True) -> tuple[Motion, dict[str, str]]:
    """What a right file of a character on a rig has: every joint of the rig under its own name."""
    from exporters.animation import animate

    animation = animate(character, rig, WORLD, helpers=helpers)
    names = animation.hierarchy.names
    joints = animation.joints_xyz()
    motion = replace(
        character.motion,
        poses=np.zeros((len(joints), 3 * len(names))),
        joint_names=names,
        joints=joints,
        joint_std=np.zeros((0, 0)),
    )
    return motion, {name: name for name in names}


def check_file(file: Path, motion: Motion, names: Mapping[str, str]) -> list[Comparison]:
    """Ask every client; one that is not installed or refuses the file is not usable."""
    results: list[Comparison] = []
    for client, reader in READERS[file.suffix].items():
        reason = cannot_judge(file.suffix, client, motion.mocap_framerate)
        if reason:
            results.append(Comparison(client, np.nan, np.nan, f"not asked: {reason}", True))
            continue
        try:
            results.append(compare(client, reader(file), motion, names))
        except (NotInstalledError, ReaderError) as error:
            results.append(Comparison(client, np.inf, np.inf, str(error), False))
    return results


def table(results: list[Comparison]) -> str:
    """The results for people."""
    lines = [f"{'client':16s}{'max mm':>10s}{'mean mm':>10s}  worst"]
    for row in results:
        verdict = "" if row.usable else "  WRONG"
        lines.append(f"{row.client:16s}{row.max_mm:10.4f}{row.mean_mm:10.4f}  {row.worst}{verdict}")
    return "\n".join(lines)


def main(file: str, motion_file: str, rig: str = "mixamo") -> int:
    """Print the table; 0 when every client agrees with the motion."""
    with np.load(motion_file) as arrays:
        motion = Motion.from_arrays(dict(arrays), where=motion_file)
    results = check_file(Path(file), motion, load_rig_names(rig))
    sys.stdout.write(table(results) + "\n")
    return 0 if all(row.usable for row in results) else 1


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
