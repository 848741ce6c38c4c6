"""The walks that all tests of this folder are measured on."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="session")
def walks() -> ModuleType:
    """The module beside this file: ``walk``, ``aligned`` and what they need."""
    spec = importlib.util.spec_from_file_location("people_walks", Path(__file__).with_name("walks.py"))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module
