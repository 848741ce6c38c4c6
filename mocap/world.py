"""The world of a calibration as the user wants it: an older rig's, measured points or heights, other axes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from calibration.alignment import align
from calibration.cameras import Cameras
from calibration.world_sources import from_heights, from_points, scaled_by, turned
from mocap.errors import ConfigError
from mocap.settings import WorldSettings


def place(cameras: Cameras, settings: WorldSettings, older: Cameras | None) -> tuple[Cameras, dict[str, Any]]:
    """Move calibrated cameras into the world that the settings describe.

    Args:
        cameras: as calibrated.
        settings: scale first, then the floor, then the axes; or all of it by ``align``.
        older: the cameras that ``settings.align`` names.

    Returns:
        The cameras, and what to remember of it: residuals in metres, cameras that moved since.

    Raises:
        ConfigError: a key that is not of the form that it should have, or settings that exclude each other.
        CalibrationError: points, heights or cameras that do not fix a world.
    """
    told: dict[str, Any] = {}
    if older is not None:
        _alone(settings)
        found = align(cameras, older)
        moved = sorted(set(found.shift_m) - set(found.unmoved))
        told["aligned"] = {
            "unmoved": found.unmoved,
            "moved": {
                name: {"shift_m": found.shift_m[name], "turn_deg": found.turn_deg[name]} for name in moved
            },
        }
        return found.cameras, told
    if both := measured(cameras, settings.distances_m):
        # Least squares of the tape's errors: long distances count for more.
        ours2, product = sum(ours**2 for ours, _ in both), sum(ours * tape for ours, tape in both)
        cameras = scaled_by(ours2, product).cameras(cameras)
        told["scale"] = product / ours2
    if settings.heights_m:
        floor = from_heights(cameras, settings.heights_m)
        cameras = floor.world_from_rig.cameras(cameras)
        told["heights_error_m"] = floor.error_m
    if settings.points_m:
        fixed = from_points(cameras, _marks(settings, cameras), _places(settings))
        cameras = fixed.world_from_rig.cameras(cameras)
        told["points_error_m"] = fixed.error_m
    if (settings.x, settings.up) != ("x", "z"):
        cameras = turned(settings.x, settings.up).cameras(cameras)
    return cameras, told


def between(pair: str, names: tuple[str, ...]) -> tuple[str, str]:
    """The two cameras of a key of ``world.distances_m``.

    Raises:
        ConfigError: it names no two cameras.
    """
    return _words(pair, "world.distances_m", "cam1 cam2", names, names)


def measured(cameras: Cameras, distances_m: Mapping[str, float]) -> list[tuple[float, float]]:
    """Distances between lenses in the calibrated world, each beside the same by a tape, metres.

    Raises:
        ConfigError: a key that names no two cameras, or a distance that is not positive.
    """
    both: list[tuple[float, float]] = []
    for pair, tape_m in distances_m.items():
        first, second = between(pair, cameras.names)
        if tape_m <= 0:
            raise ConfigError(f"world.distances_m {pair!r} is {tape_m:g} m", todo="write what the tape says")
        both.append((float((cameras[first].centers_world - cameras[second].centers_world).norm()), tape_m))
    return both


def _alone(settings: WorldSettings) -> None:
    """An older rig fixes everything."""
    others = [name for name in ("distances_m", "heights_m", "points_m") if getattr(settings, name)]
    if others:
        raise ConfigError(
            f"world.align and world.{others[0]} both say where the world is", todo="leave one of them out"
        )


def _places(settings: WorldSettings) -> dict[str, tuple[float, float, float]]:
    places: dict[str, tuple[float, float, float]] = {}
    for name, xyz in settings.points_m.items():
        if len(xyz) != 3:
            raise ConfigError(f"world.points_m.{name} has {len(xyz)} numbers", todo="write x, y, z in metres")
        places[name] = (xyz[0], xyz[1], xyz[2])
    return places


def _marks(settings: WorldSettings, cameras: Cameras) -> Mapping[str, Mapping[str, tuple[float, float]]]:
    """{point: {camera: pixels}}."""
    marks: dict[str, dict[str, tuple[float, float]]] = {}
    for key, xy in settings.points_px.items():
        camera, point = _words(key, "world.points_px", "cam1 point", cameras.names, tuple(settings.points_m))
        if len(xy) != 2:
            raise ConfigError(f"world.points_px {key!r} has {len(xy)} numbers", todo="write x, y in pixels")
        marks.setdefault(point, {})[camera] = (xy[0], xy[1])
    return marks


def _words(
    key: str, where: str, form: str, first: tuple[str, ...], second: tuple[str, ...]
) -> tuple[str, str]:
    """The two names of a key; names may hold spaces themselves."""
    for one in first:
        rest = key.removeprefix(f"{one} ")
        if rest != key and rest in second:
            return one, rest
    raise ConfigError(
        f"{key!r} in {where} names no such pair",
        todo=f'write "{form}", of: {", ".join(dict.fromkeys((*first, *second)))}',
    )
