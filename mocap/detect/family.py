"""A family of networks: what it is, how its networks are fed, and how their outputs are read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mocap.detect.network import ImageInput, Network, Outputs
from mocap.detect.window import input_size
from mocap.errors import InputError

Floats = NDArray[np.float64]
Size = tuple[int, int]


@dataclass(frozen=True)
class Facts:
    """What a user wants to know before choosing."""

    title: str
    """The name that its makers gave it."""
    ap: str
    """COCO keypoint average precision as published, with the network it is of; – where there is none."""
    licence: str
    """Of the published weights."""


@dataclass(frozen=True)
class Pixels:
    """How an image's values are given to a network."""

    bgr: bool = False
    """Blue comes first."""
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Subtracted from each channel, in the order that the network wants, values 0 to 255."""
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    """Then divided by this."""
    fill: int = 0
    """Value beyond the image's border."""

    def __call__(self, images: NDArray[np.uint8], given: ImageInput) -> NDArray[Any]:
        """Images (N, H, W, 3), RGB, as the network wants their values."""
        if self.bgr:
            images = images[..., ::-1]
        if np.issubdtype(given.dtype, np.integer):
            return images
        values = images.astype(np.float32)
        if any(self.mean) or self.std != (1.0, 1.0, 1.0):
            values = (values - np.array(self.mean, np.float32)) / np.array(self.std, np.float32)
        return values


IMAGENET = Pixels(mean=(123.675, 116.28, 103.53), std=(58.395, 57.12, 57.375))
"""Mean and standard deviation of ImageNet's colours, RGB."""
UNIT = Pixels(std=(255.0, 255.0, 255.0))
"""RGB from 0 to 1."""


@dataclass(frozen=True)
class Code:
    """How the networks of a family are fed and read."""

    engine: str
    """crop (a person's crop), image (a whole image, poses), or person (a whole image, boxes of people)."""
    pixels: Pixels
    """Values of the image."""
    expected: str
    """What the network's outputs must be, for people."""
    count: Callable[[Outputs, Size], int | None]
    """Keypoints that outputs for an input of this width and height hold; None if they are no such outputs."""
    read: Callable[[Outputs, Size], Any]
    """The answer in outputs for an input of this width and height.

    crop: (N, K, 2) places in the input, its corner at 0, and (N, K) scores; otherwise ``People``."""
    size_px: Size | None = (640, 640)
    """Width and height where the file leaves them open; None: the image's own."""
    multiple: int = 32
    """What open sides must be divisible by: the larger of ``size_px`` is for an image's longer side.

    0: the input always has ``size_px``."""
    corner: bool = False
    """The image lies in the input's upper left corner, and not in its middle."""

    def input_size(self, network: Network, size_px: Size) -> Size:
        """Width and height that an image of this size is brought to."""
        if network.input.size_px is not None:
            return network.input.size_px
        if self.size_px is None:
            return size_px
        return input_size(size_px, max(self.size_px), self.multiple) if self.multiple else self.size_px


@dataclass(frozen=True)
class Family:
    """One entry of the table of families."""

    facts: Facts
    """For people who choose."""
    codes: tuple[Code, ...]
    """The forms in which its networks come; the first one that a file fits is taken."""
    names: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    """Keypoint names by their number; none for detectors of people."""
    variants: Mapping[str, str] = field(default_factory=dict)
    """Which of its networks the qualities fast, standard and best stand for, where they differ."""

    @property
    def finds_poses(self) -> bool:
        """Whether there are keypoints, and not only boxes of people."""
        return any(code.engine != "person" for code in self.codes)


def fitting(network: Network, family: Family) -> tuple[Code, int]:
    """The form of a family that a network has, tried on a grey image, and the number of its keypoints.

    Raises:
        InputError: it has none of them; the message says what was expected and what was found.
    """
    found = ""
    for code in family.codes:
        size = code.input_size(network, (640, 480))
        image = np.full((1, size[1], size[0], 3), 128, np.uint8)
        outputs = network(code.pixels(image, network.input))
        if (keypoints := code.count(outputs, size)) is not None:
            return code, keypoints
        shapes = " and ".join("x".join(map(str, output.shape)) or "one number" for output in outputs)
        found = f"{shapes} for an image of {size[0]}x{size[1]}"
    expected = "; or ".join(code.expected for code in family.codes)
    raise InputError(
        f"no {family.facts.title} network: expected {expected}; found {found}", where=network.path
    )


def keypoint_names(family: Family, keypoints: int, own: tuple[str, ...], path: Path) -> tuple[str, ...]:
    """The names of a network's keypoints: those that the user gave, or those of a set of that size.

    Args:
        family: the network's.
        keypoints: how many it finds; none for a detector of people.
        own: what the user gave with the file.
        path: the file, for messages.

    Raises:
        InputError: there are no names for them, or not one for each.
    """
    if own and len(own) != keypoints:
        what = f"{len(own)} names were given for a network of {keypoints} keypoints"
        raise InputError(what, where=path, todo="give one name for each, in its order")
    if len(set(own)) != len(own):
        raise InputError("two keypoints have the same name", where="--keypoints")
    names = own or family.names.get(keypoints, ())
    if keypoints and not names:
        known = " or ".join(map(str, sorted(family.names))) or "no"
        raise InputError(
            f"a network of {known} keypoints was expected for {family.facts.title}; this one has {keypoints}",
            where=path,
            todo="give their names in its order: mocap models add NAME FILE --keypoints nose,left_eye,...",
        )
    return names
