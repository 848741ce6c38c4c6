"""A run that is killed at random moments ends with the very files of an undisturbed one."""

import hashlib
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mocap.virtual.demo import render_session

pytestmark = pytest.mark.slow

KILLS = 10
COMMAND = [sys.executable, "-m", "mocap.cli", "run"]
FAST = ["--set", "detect.variant=lite", "--set", "detect.mirror=false"]


def contents(root: Path) -> dict[str, str]:
    """Hash of every file that is not a record or work in progress."""
    files = [path for path in root.rglob("*") if path.is_file()]
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
        if not any(part.startswith(".") for part in path.relative_to(root).parts)
    }


@pytest.fixture(scope="module")
def footage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("kill") / "footage"
    render_session(root, cameras=3, seconds=4.0, seed=5, size_px=(960, 540))
    return root


def test_ten_kills_change_nothing(footage: Path, tmp_path: Path) -> None:
    calm, killed = tmp_path / "calm", tmp_path / "killed"
    shutil.copytree(footage, calm)
    shutil.copytree(footage, killed)
    start = time.monotonic()
    subprocess.run([*COMMAND, str(calm), *FAST], check=True, capture_output=True)
    whole_s = time.monotonic() - start
    moments = random.Random(11)
    deaths = 0
    for _ in range(KILLS):
        process = subprocess.Popen(
            [*COMMAND, str(killed), *FAST],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        # A restart does less than the whole, so most of the moments lie in the first part of it.
        time.sleep(moments.uniform(0.05, 0.6) * whole_s)
        deaths += process.poll() is None
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert deaths >= KILLS // 2, "the kills came too late to prove anything"
    subprocess.run([*COMMAND, str(killed), *FAST], check=True, capture_output=True)
    assert contents(killed) == contents(calm)
    raw = contents(footage)
    assert {name: value for name, value in contents(killed).items() if name in raw} == raw
