"""What there is to choose from: every family with its networks, and which of them are on this machine."""

from __future__ import annotations

from typing import Any

from mocap.detect import models
from mocap.detect.families import FAMILIES, family_of
from mocap.detect.family import Facts
from mocap.detect.measured import MEASURED
from mocap.detect.published import MODELS

BLAZEPOSE = Facts("BlazePose", "–", "Apache-2.0")
"""MediaPipe's: V. Bazarevsky et al., BlazePose: On-device Real-time Body Pose Tracking, 2020."""


HANDS = Facts("MediaPipe Hands", "–", "Apache-2.0")
"""F. Zhang et al., MediaPipe Hands: On-device Real-time Hand Tracking, 2020; see ``detect.hands``."""
_MEDIAPIPE = {"blazepose": BLAZEPOSE, "hands": HANDS}


def facts(family: str) -> Facts:
    """What is to be known about a family."""
    return _MEDIAPIPE[family] if family in _MEDIAPIPE else FAMILIES[family].facts


def listing() -> list[dict[str, Any]]:
    """A row for each known network: those of packages, those of the user, and families without any."""
    own = models.own_names()
    names = [*MODELS, *(name for name in own if name not in MODELS)]
    rows = [_row(name) for name in names]
    having = {row["family"] for row in rows}
    rows += [_missing(family) for family in FAMILIES if family not in having]
    return rows


def _row(name: str) -> dict[str, Any]:
    """Weights that can be pulled, or that the user brought."""
    path, model = models.installed(name), MODELS.get(name)
    family = model.family if model else family_of(name) or name
    known = facts(family) if family in FAMILIES or family in _MEDIAPIPE else Facts(family, "–", "–")
    origin = models.origin(name)
    size = path.stat().st_size if path else model.size_bytes if model else 0
    given = models.own_keypoints(path) if path else ()
    measured = MEASURED.get(name)
    return {
        "name": name,
        "family": family,
        "keypoints": f"{len(given)} of your own" if given else model.keypoints if model else _sets(family),
        "ap": known.ap,
        "error_mm": measured.error_mm if measured and origin != models.OWN else None,
        "frames_per_s": measured.frames_per_s if measured and origin != models.OWN else None,
        "size_mb": round(size / 1e6, 1),
        "licence": models.OWN if origin == models.OWN else model.licence if model else known.licence,
        "sha256": models.sha256_of(path) if path else model.sources[0].sha256 if model else None,
        "installed": path is not None,
        "get": f"mocap models pull {name}" if model else f"mocap models add {name} FILE",
    }


def _missing(family: str) -> dict[str, Any]:
    """A family whose weights no package has."""
    known = facts(family)
    row: dict[str, Any] = dict.fromkeys(("error_mm", "frames_per_s", "size_mb", "sha256"))
    row |= {"name": family, "family": family, "keypoints": _sets(family), "ap": known.ap}
    return row | {
        "licence": known.licence,
        "installed": False,
        "get": f"mocap models add {family} FILE",
    }


def _sets(family: str) -> str:
    """Which keypoints a family's networks find."""
    from mocap.detect.names import SETS

    names = FAMILIES[family].names if family in FAMILIES else {}
    found = [key for key, members in SETS.items() if members in names.values()]
    return ", ".join(found) or "boxes of people"
