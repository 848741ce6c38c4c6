"""What the networks of packages come to: error of the solved body, and speed; for ``mocap models list``.

    python tests/bench/detector_bench.py [FOLDER [NAME ...]]

One performance of the virtual studio, which nothing was learned from and no setting was chosen on: three
seconds of dance in four cameras at 1280x720, with the true cameras. Each network finds the keypoints, the
ordinary chain does the rest, and the limb joints are compared with the true ones: mean distance in mm.
Speed is camera-frames a second on two cores, decoding included, from the processor time of the detection.
Prints the rows of ``mocap/detect/measured.py``. A run that was stopped goes on.
"""

from __future__ import annotations

import json
import resource
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np

from mocap import pipeline
from mocap.detect.models import pull
from mocap.detect.published import MODELS
from mocap.session import Session
from mocap.virtual.board_path import BoardSession
from mocap.virtual.cast import draw_dance, draw_performer, draw_room
from mocap.virtual.compare import joint_errors_m
from mocap.virtual.demo import TAKE, film_session
from mocap.virtual.rig import ring_of
from mocap.virtual.studio import Studio, demo_board

SEED = 9101
"""Lessons have seeds below a thousand and other streams."""
SECONDS = 3.0
MIRRORED = ("blazepose-heavy",)
"""Networks that are measured with mirror averaging, as the quality best uses them."""
NAMES = [name for name in MODELS if name.split("-")[0] in ("blazepose", "movenet", "posenet")]
NAMES.remove("blazepose-person")


def studio() -> Studio:
    """One dancer among four cameras."""
    rng = np.random.default_rng(SEED)
    performer = draw_performer(rng, draw_dance(rng, SECONDS, beat_s=0.6), start_m=(-0.3, 0.4))
    return Studio(
        ring=ring_of(4, seed=SEED),
        room=draw_room(rng),
        board=BoardSession(board=demo_board(), seconds=3.0, seed=SEED),
        performers=(performer,),
        seconds=SECONDS,
        seed=SEED,
    )


def measure(name: str, filmed: Path, truth: Session, folder: Path) -> tuple[float, float]:
    """Error in millimetres and camera-frames a second of one network."""
    shutil.rmtree(folder, ignore_errors=True)  # half a detection would look twice as fast
    shutil.copytree(filmed, folder, ignore=shutil.ignore_patterns("truth"))
    session = Session.open(folder)
    shutil.copyfile(truth.cameras_file, session.cameras_file)
    pull(name)
    family = MODELS[name].family
    variant = MODELS[name].variant if name != family else "best"
    chosen = [f"detect.detector={family}", f"detect.variant={variant}", "detect.max_people=1"]
    chosen.append(f"detect.mirror={json.dumps(name in MIRRORED)}")
    before = _children_s()
    pipeline.run_stage("sync", folder)
    pipeline.run_stage("detect", folder, overrides=chosen)
    spent_s = _children_s() - before
    for stage in ("reconstruct", "fit"):
        pipeline.run_stage(stage, folder, overrides=chosen)
    take, true = session.take(TAKE), truth.take(TAKE)
    frames = sum(len(take.load_keypoints(camera).time_s) for camera in take.clips())
    motion = true.load_motion(next(iter(true.motion_files())))
    errors = [joint_errors_m(take.load_motion(one), motion).mean() for one in take.motion_files()]
    return 1e3 * float(min(errors)), 2 * frames / spent_s


def _children_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def main() -> int:
    """Print a row for each network."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(sys.argv[1] if len(sys.argv) > 1 else scratch)
        filmed = folder / "filmed"
        truth = film_session(filmed, studio(), {"bench": "detectors"})
        for name in sys.argv[2:] or NAMES:
            done = folder / f"{name}.json"
            if not done.exists():
                result = measure(name, filmed, truth, folder / name)
                done.write_text(json.dumps(result))
            error_mm, frames_per_s = json.loads(done.read_text())
            sys.stdout.write(f'    "{name}": Measured({error_mm:.0f}, {frames_per_s:.0f}),\n')
            sys.stdout.flush()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
