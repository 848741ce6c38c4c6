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

from mocap.detect.models import pull
from mocap.virtual.demo import render_session

pytestmark = pytest.mark.slow

KILLS = 10
MOST_RUNS = 40
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
    # Fetched here, or the undisturbed run alone would pay for it and the others be over before their kill.
    pull("blazepose-person")
    pull("blazepose-lite")
    render_session(root, cameras=3, seconds=4.0, seed=5, size_px=(960, 540))
    return root


def start(session: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [*COMMAND, str(session), *FAST],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def test_ten_kills_change_nothing(footage: Path, tmp_path: Path) -> None:
    calm, killed = tmp_path / "calm", tmp_path / "killed"
    shutil.copytree(footage, calm)
    shutil.copytree(footage, killed)
    begin = time.monotonic()
    subprocess.run([*COMMAND, str(calm), *FAST], check=True, capture_output=True)
    whole_s = time.monotonic() - begin
    expected = contents(calm)
    moments = random.Random(11)
    deaths = 0
    for _ in range(MOST_RUNS):
        process = start(killed)
        # A restart does less than the whole, so most of the moments lie in the first part of it.
        try:
            code = process.wait(moments.uniform(0.05, 0.6) * whole_s)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
            deaths += 1
            if deaths == KILLS:
                break
        else:
            # It ended before its turn: that run is over, and the next kill meets a new one.
            assert code == 0
            assert contents(killed) == expected
            shutil.rmtree(killed)
            shutil.copytree(footage, killed)
    assert deaths == KILLS, "runs ended before they could be killed"
    subprocess.run([*COMMAND, str(killed), *FAST], check=True, capture_output=True)
    assert contents(killed) == expected
    raw = contents(footage)
    assert {name: value for name, value in contents(killed).items() if name in raw} == raw
