"""BlazePose: its person detector and its landmark network, which also says where to look next."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from mocap.detect.landmarks import LandmarkNetwork
from mocap.detect.models import model_path
from mocap.detect.network import Network, open_network
from mocap.detect.person import PersonDetector
from mocap.detect.top_down import Pose, TopDown
from mocap.errors import ConfigError, MissingModel
from mocap.settings import DetectSettings

log = logging.getLogger(__name__)

VARIANTS = {"best": "heavy", "standard": "full", "fast": "lite"} | {
    name: name for name in ("heavy", "full", "lite")
}
"""What the values of ``detect.variant`` mean; best takes full where heavy cannot be had."""
_MIN_SCORE_NEW = 0.5
"""Median score of the landmarks that a newcomer needs: the presence alone takes furniture for people."""
_MIN_SCORE_KNOWN = 0.25
"""The same for somebody who was there in the frame before."""
_SAME_PERSON = 0.06
"""Two poses whose landmarks lie nearer, in the median, than this part of the region's side are one person."""


class BlazePoseFamily:
    """BlazePose's entry in the DETECTORS table."""

    def files(self, settings: DetectSettings) -> dict[str, Path]:
        """The weights of person detector and landmark network."""
        if settings.variant not in VARIANTS:
            raise ConfigError(
                f"detect.variant {settings.variant!r} is unknown to blazepose",
                todo=f"choose from {', '.join(VARIANTS)}",
            )
        variant = VARIANTS[settings.variant]
        try:
            landmarks = model_path(f"blazepose-{variant}")
        except MissingModel as error:
            if settings.variant != "best":
                raise
            log.warning("detecting with the less accurate weights blazepose-full: %s", error)
            landmarks = model_path("blazepose-full")
        return {"person": model_path("blazepose-person"), "landmarks": landmarks}

    def together(self, files: Mapping[str, Path]) -> bool:
        """LiteRT takes one image at a time."""
        return False

    def create(
        self,
        files: Mapping[str, Path],
        settings: DetectSettings,
        opener: Callable[[Path], Network] = open_network,
    ) -> TopDown:
        """A tracker at the beginning of a clip; its two networks have readers of their own."""
        return TopDown(
            PersonDetector(files["person"]),
            LandmarkNetwork(files["landmarks"], mirror=settings.mirror),
            same_person=same_person,
            max_people=settings.max_people,
            search_interval_s=settings.search_interval_s,
            min_score_new=_MIN_SCORE_NEW,
            min_score_known=_MIN_SCORE_KNOWN,
        )


def same_person(a: Pose, b: Pose) -> bool:
    """Whether two poses are one person's: nearly all their landmarks coincide."""
    apart = np.median(np.linalg.norm(a.xy_px - b.xy_px, axis=1))
    return bool(apart < _SAME_PERSON * max(a.region.side_px, b.region.side_px))
