"""The square markers of ArUco and AprilTag dictionaries, as patterns of black and white modules."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibration.errors import CalibrationError


def opencv_dictionary(name: str, num_markers: int) -> Any:
    """OpenCV's dictionary of markers.

    Raises:
        CalibrationError: OpenCV has no dictionary of that name, or it has fewer markers than are needed.
    """
    import cv2

    if name not in dictionary_names():
        raise CalibrationError(
            f"board dictionary {name!r} is unknown; choose one of {', '.join(dictionary_names())}"
        )
    dictionary = cv2.aruco.getPredefinedDictionary(getattr(cv2.aruco, name))
    there = len(dictionary.bytesList)
    if num_markers > there:
        raise CalibrationError(
            f"the board needs {num_markers} markers but {name} has {there}; "
            "choose a larger dictionary or fewer squares"
        )
    return dictionary


def dictionary_names() -> list[str]:
    """Names of the dictionaries that this OpenCV has."""
    import cv2

    return sorted(name for name in dir(cv2.aruco) if name.startswith("DICT_"))


def dictionary_families() -> list[list[str]]:
    """Dictionaries that begin with the same markers, the smallest first."""
    families: dict[tuple[int, bytes], list[tuple[int, str]]] = {}
    for name in dictionary_names():
        dictionary = opencv_dictionary(name, 0)
        first = (int(dictionary.markerSize), dictionary.bytesList[0].tobytes())
        families.setdefault(first, []).append((len(dictionary.bytesList), name))
    return [[name for _, name in sorted(family)] for family in families.values()]


def marker_modules(name: str, ids: Sequence[int]) -> NDArray[np.bool_]:
    """(N, M, M) True where a module of these markers is black, the border of one module included."""
    dictionary = opencv_dictionary(name, max(ids) + 1)
    side = dictionary.markerSize + 2
    images = [dictionary.generateImageMarker(marker, side) for marker in ids]
    return np.stack(images) < 128


def cover_dark(dark: NDArray[np.bool_]) -> Iterator[tuple[int, int, int, int]]:
    """Cover the dark cells by few rectangles (x0, y0, x1, y1), none over another.

    Few, because every seam between two black areas may show on a print.
    """
    left = dark.copy()
    while left.any():
        y0, x0 = (int(i) for i in np.argwhere(left)[0])
        x1 = x0 + 1
        while x1 < left.shape[1] and left[y0, x1]:
            x1 += 1
        y1 = y0 + 1
        while y1 < left.shape[0] and left[y1, x0:x1].all():
            y1 += 1
        left[y0:y1, x0:x1] = False
        yield x0, y0, x1, y1
