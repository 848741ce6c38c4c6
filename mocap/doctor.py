"""What works on this machine, and how to get the rest."""

from __future__ import annotations

import importlib
import platform
import sys
from importlib import metadata
from typing import Any

_LIBRARIES = {
    # import name: (distribution, what it is for, extra or None, system packages it needs on Debian)
    "torch": ("torch", "geometry and solving", None, ""),
    "scipy": ("scipy", "calibration", None, ""),
    "cv2": ("opencv-contrib-python", "boards and images", None, "libgl1 libglib2.0-0"),
    "av": ("av", "video", None, ""),
    "ai_edge_litert.interpreter": ("ai-edge-litert", "BlazePose", None, ""),
    "onnxruntime": ("onnxruntime", "all other detectors", None, ""),
    "open3d": ("open3d", "the virtual studio and pictures", None, "libusb-1.0-0 libgl1 libegl1 libgomp1"),
    "smplx": ("smplx", "your own SMPL, SMPL-H and SMPL-X files (non-commercial licence)", "smpl", ""),
}


def examine() -> list[dict[str, Any]]:
    """One row for each thing the program needs or can use.

    Returns:
        Rows with ``what``, ``works``, ``optional`` and ``note`` (a version, or what to do).
    """
    rows = [_row("Python", sys.version_info >= (3, 11), platform.python_version())]
    rows += [_library(module, *facts) for module, facts in _LIBRARIES.items()]
    return [*rows, _body(), *_models()]


def _row(what: str, works: bool, note: str, *, optional: bool = False) -> dict[str, Any]:
    return {"what": what, "works": works, "optional": optional, "note": note}


def _library(module: str, distribution: str, purpose: str, extra: str | None, system: str) -> dict[str, Any]:
    what = f"{distribution}: {purpose}"
    try:
        importlib.import_module(module)
    except ImportError as error:
        remedy = f"pip install 'mocap-studio[{extra}]'" if extra else f"pip install {distribution}"
        if system and "cannot open shared object" in str(error):
            remedy = f"apt-get install {system}"
        return _row(what, False, f"{error}; {remedy}", optional=extra is not None)
    return _row(what, True, metadata.version(distribution), optional=extra is not None)


def _body() -> dict[str, Any]:
    from rigs import RigError, load_body

    try:
        body = load_body("default")
    except (RigError, OSError) as error:
        return _row("default body", False, f"{error}; reinstall mocap-studio")
    return _row("default body", True, f"{len(body.joint_names)} joints, {body.v_template.shape[0]} vertices")


def _models() -> list[dict[str, Any]]:
    from mocap.detect.catalogue import listing

    return [
        _row(
            f"model {entry['name']}",
            bool(entry["installed"]),
            "installed" if entry["installed"] else f"fetched on first use, or: {entry['get']}",
            optional=True,
        )
        for entry in listing()
        if entry["installed"] or " pull " in entry["get"]
    ]
