"""Libraries that some formats need and the program does without."""

from __future__ import annotations

import importlib
from typing import Any

from exporters.errors import ExportError


def need(module: str, package: str, what: str) -> Any:
    """The module, imported.

    Args:
        module: name to import, such as ``pxr.Usd``.
        package: what installs it.
        what: what is written with it.

    Raises:
        ExportError: it is not installed, with the command that installs it.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ExportError(f"{what} needs {package}; pip install 'mocap-studio[formats]'") from error
