"""Engine for networks that see the whole image and say who is where: single-stage and bottom-up ones."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mocap.detect.detector import Detections, TrackerState
from mocap.detect.family import Code, Floats
from mocap.detect.network import Network
from mocap.detect.people import People, without_doubles
from mocap.detect.window import Window, letterbox

MAX_OVERLAP = 0.65
"""Two boxes that overlap by more are one person's: what the families of this kind say lies around it."""
MIN_SURE = 0.25
"""People that the network is less sure of are not taken."""


class WholeImage:
    """Gives letterboxed images to a network, and brings its people back into the image.

    Args:
        network: what runs.
        code: its family's; ``read`` returns ``People``.
        min_sure: people that the network is less sure of are not taken.
    """

    def __init__(self, network: Network, code: Code, *, min_sure: float = MIN_SURE) -> None:
        self._network = network
        self._code = code
        self._min_sure = min_sure

    def people(self, rgb: NDArray[np.uint8], count: int) -> tuple[People, Window]:
        """At most ``count`` people in the network's input, and where that lies in the image."""
        size_px = (rgb.shape[1], rgb.shape[0])
        code = self._code
        wanted = code.input_size(self._network, size_px)
        window = letterbox(size_px, wanted, corner=code.corner)
        image = window.cut_out(rgb, fill=code.pixels.fill)[None]
        found = code.read(self._network(code.pixels(image, self._network.input)), wanted)
        return without_doubles(found, MAX_OVERLAP).best(count, self._min_sure), window

    def boxes(self, rgb: NDArray[np.uint8], count: int) -> tuple[Floats, Floats]:
        """(P, 4) boxes of people in image pixels, and (P,) how sure the network is of each."""
        found, window = self.people(rgb, count)
        return window.image_from_input(found.box.reshape(-1, 2, 2)).reshape(-1, 4), found.sure


class SingleStage:
    """A detector without memory.

    Args:
        network: what runs.
        code: its family's.
        keypoint_names: K names.
        max_people: most people in an image.
    """

    def __init__(
        self, network: Network, code: Code, keypoint_names: tuple[str, ...], *, max_people: int
    ) -> None:
        self.keypoint_names = keypoint_names
        self._whole = WholeImage(network, code)
        self._max_people = max_people

    def step(self, rgb: NDArray[np.uint8], time_s: float) -> Detections:
        """The people of one image."""
        found, window = self._whole.people(rgb, self._max_people)
        xy_px = window.image_from_input(found.xy)
        known = np.isfinite(xy_px).all(axis=-1)
        score = np.where(known, np.clip(found.score, 0, 1), 0.0)
        return Detections(xy_px, score, np.arange(len(xy_px)))

    def state(self) -> TrackerState:
        """Nothing is remembered."""
        return {}

    def restore(self, state: TrackerState) -> None:
        """Nothing is remembered."""
