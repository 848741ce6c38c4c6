"""Folders of images that stand for a video."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mocap.errors import InputError

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png"})
"""File endings, lower case, that are taken for images."""


def natural_order(name: str) -> tuple[tuple[int, int, str], ...]:
    """Sorting key that counts: img2 comes before img10."""
    parts = re.findall(r"\d+|\D+", name)
    return tuple((0, int(part), part) if part.isdecimal() else (1, 0, part.lower()) for part in parts)


def image_files(folder: Path) -> list[Path]:
    """The images of a folder in natural order."""
    images = (path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES)
    return sorted(
        (path for path in images if not path.name.startswith(".")), key=lambda path: natural_order(path.name)
    )


def read_image(path: Path) -> NDArray[np.uint8]:
    """(H, W, 3) RGB image, turned upright as its orientation tag says.

    Raises:
        InputError: it cannot be read.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with Image.open(path) as image:
            return np.array(ImageOps.exif_transpose(image).convert("RGB"))
    except (UnidentifiedImageError, OSError, SyntaxError) as error:
        raise InputError(
            f"this image cannot be read ({error})", where=path, todo="copy it again, or remove it"
        ) from error


def read_folder(
    folder: Path, size_px: tuple[int, int], rate_hz: float, start_s: float
) -> Iterator[tuple[int, float, NDArray[np.uint8]]]:
    """Number, time and image of each file, from the first whose time is at least ``start_s``.

    Raises:
        InputError: an image cannot be read or is not of ``size_px``.
    """
    for index, file in enumerate(image_files(folder)):
        time_s = index / rate_hz
        if time_s < start_s:
            continue
        rgb = read_image(file)
        seen_px = (rgb.shape[1], rgb.shape[0])
        if seen_px != size_px:
            raise InputError(
                f"the image is {seen_px[0]}x{seen_px[1]}, "
                f"the first one of its folder {size_px[0]}x{size_px[1]}",
                where=file,
                todo="one camera's images must have one size",
            )
        yield index, time_s, rgb
