"""A network of either runtime with one image input: ONNX Runtime's and LiteRT's look the same from here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from mocap.errors import InputError

Outputs = list[NDArray[Any]]
"""The outputs of a network in the order of its file, each with its axis for several images."""

VALUE_TYPES: dict[str, Any] = {
    "float": np.float32,
    "float16": np.float16,
    "double": np.float64,
    "uint8": np.uint8,
    "int32": np.int32,
    "int64": np.int64,
}
"""Kinds of values that an image input may have, by ONNX's name."""


@dataclass(frozen=True)
class ImageInput:
    """How a network wants its image."""

    size_px: tuple[int, int] | None
    """Width and height where the file fixes them."""
    channels_first: bool
    """Channels come before rows."""
    batched: bool
    """There is an axis for several images."""
    batch: int | None
    """Images that it takes at once where the file fixes their number."""
    dtype: Any
    """numpy type of its values."""

    def __str__(self) -> str:
        size = "any size" if self.size_px is None else f"{self.size_px[0]}x{self.size_px[1]}"
        return f"an image of {size}"


class Network(Protocol):
    """What runs."""

    path: Path
    """The file."""
    input: ImageInput
    """What it takes."""

    def __call__(self, images: NDArray[Any]) -> Outputs:
        """All outputs for images (N, H, W, 3), which are already normalised.

        Raises:
            InputError: the network fails on them.
        """
        ...


def open_network(path: Path) -> Network:
    """Load a network with the runtime that its content asks for.

    Raises:
        InputError: it is damaged, or takes something else than one image.
    """
    with path.open("rb") as file:
        tflite = file.read(8)[4:] == b"TFL3"
    if tflite:
        from mocap.detect.lite_network import LiteNetwork

        return LiteNetwork(path)
    from mocap.detect.onnx_network import OnnxNetwork

    return OnnxNetwork(path)


def image_input(name: str, shape: list[int | None], kind: Any, path: Path) -> ImageInput:
    """What an input of this shape takes; None stands for a size that is left open.

    Raises:
        InputError: it is no image.
    """
    rank = len(shape)
    first, last = rank in (3, 4) and shape[-3] == 3, rank in (3, 4) and shape[-1] == 3
    if kind is None or not (first or last):
        given = "x".join("?" if size is None else str(size) for size in shape)
        raise InputError(
            f"a network that takes an image of three channels was expected; its input {name} is {given}",
            where=path,
        )
    height, width = shape[-2:] if first else shape[-3:-1]
    size_px = None if height is None or width is None else (width, height)
    return ImageInput(size_px, first, rank == 4, shape[0] if rank == 4 else 1, kind)
