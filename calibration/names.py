"""Which calibrated camera a clip belongs to, where two programs spell the names differently."""

import re
from collections.abc import Sequence

from calibration.errors import CalibrationError

_TOKEN = re.compile(r"[0-9]+|[^\W\d_]+")

Tokens = tuple[str | int, ...]


def match_names(wanted: Sequence[str], available: Sequence[str]) -> dict[str, str]:
    """Pair the names of footage with the names of a calibration.

    Equal names are paired first. For the rest a name is read as its words and numbers (``int_cam01_img`` is
    int, cam, 1, img) and two belong together where one is a contiguous part of the other. That counts
    only when every name has exactly one partner, so ``cam1`` never takes what ``cam10`` needs.

    Args:
        wanted: names of the footage's cameras.
        available: names of the calibrated cameras; more than wanted is fine.

    Returns:
        Available name of each wanted name, in the order wanted.

    Raises:
        CalibrationError: a name has no partner or several, or two names share one.
    """
    taken = {name for name in wanted if name in available}
    rest = [name for name in available if name not in taken]
    match: dict[str, str] = {}
    for name in wanted:
        alike = (
            [name] if name in taken else [other for other in rest if _alike(_tokens(name), _tokens(other))]
        )
        if len(alike) != 1:
            found = f"fits {' and '.join(alike)}" if alike else "has no counterpart"
            raise _mismatch(f"camera {name} {found}", wanted, available)
        match[name] = alike[0]
    for name, other in match.items():
        if sharing := [n for n, o in match.items() if o == other and n != name]:
            raise _mismatch(f"cameras {name} and {sharing[0]} both fit {other}", wanted, available)
    return match


def _tokens(name: str) -> Tokens:
    parts = _TOKEN.findall(name.lower())
    return tuple(int(part) if part.isdecimal() else part for part in parts)


def _alike(a: Tokens, b: Tokens) -> bool:
    short, long = sorted((a, b), key=len)
    return bool(short) and any(long[i : i + len(short)] == short for i in range(len(long) - len(short) + 1))


def _mismatch(what: str, wanted: Sequence[str], available: Sequence[str]) -> CalibrationError:
    return CalibrationError(
        f"{what}; the footage has {', '.join(wanted)} and the calibration has {', '.join(available)}: "
        "rename one of them"
    )
