"""Sessions to import into, and the real samples."""

import os
from pathlib import Path

import pytest

from mocap.session import Session
from mocap.take import Take


@pytest.fixture
def take(tmp_path: Path) -> Take:
    """An empty take of an empty session."""
    return Session.create(tmp_path / "session", takes=("t",)).take("t")


@pytest.fixture(scope="session")
def samples() -> Path:
    """The folder of real data of other tools."""
    folder = os.environ.get("MOCAP_TEST_DATA")
    if not folder:
        pytest.skip("MOCAP_TEST_DATA does not point to the real samples")
    return Path(folder)
