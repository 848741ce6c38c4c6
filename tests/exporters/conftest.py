"""The made-up walker of tests/clients, which other programs' readers are tested with, too."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="session")
def walk() -> ModuleType:
    """Functions that make skeletons, characters and takes."""
    file = Path(__file__).parent.parent / "clients" / "walk.py"
    spec = importlib.util.spec_from_file_location("tests_clients_walk", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
