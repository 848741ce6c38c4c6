"""Fixtures that several test files use."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="session")
def test_data() -> Path:
    """Folder of the real recordings."""
    folder = os.environ.get("MOCAP_TEST_DATA")
    if not folder:
        pytest.skip("MOCAP_TEST_DATA is not set: no real recordings on this machine")
    return Path(folder)
