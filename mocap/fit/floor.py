"""What a motion says about the floor, and the floor about the motion."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mocap.fit.contact import Contacts, find_contacts, floor_height
from mocap.fit.contact_points import CONTACT_NAMES, ContactPoints, contacts_of
from mocap.fit.floor_terms import FloorTerm, SlipTerm, floor_terms
from mocap.fit.motion_terms import Steps

_TRUSTED_M = 0.03
"""Feet that stand within this of z = 0 stand at z = 0: shoes and detectors differ by as much."""
_FAR_M = 0.12
"""Feet that stand nowhere and are this far from z = 0 at their lowest say nothing of a floor."""
_BELOW_M = 0.06
"""No part of a body is further below the floor."""


@dataclass(frozen=True)
class Floor:
    """The floor of one person's take."""

    how: str
    """``used``, ``used at … m`` (as the feet say), ``off``, ``unknown`` (a body without feet) or ``not
    believed: …``."""
    points: ContactPoints | None = None
    """What may stand."""
    contacts: Contacts | None = None
    """What does; None where the floor is not used."""
    lowest_m: Tensor | None = None
    """(n,) how low each of the points comes."""

    def terms(self, steps: Steps) -> list[FloorTerm | SlipTerm]:
        """What the floor adds to a fit; nothing where it is not used."""
        if self.points is None or self.contacts is None or self.lowest_m is None:
            return []
        return floor_terms(self.points, self.contacts, steps, self.lowest_m)

    def probability(self, num_frames: int) -> Tensor:
        """(T, 8) of each of ``CONTACT_NAMES``."""
        if self.points is None or self.contacts is None:
            return torch.zeros(num_frames, len(CONTACT_NAMES), dtype=torch.float64)
        return contacts_of(self.points.model.names, torch.from_numpy(self.contacts.probability))


def find_floor(points: ContactPoints, place: Tensor, time_s: Tensor) -> Floor:
    """Which points stand, and on what.

    Args:
        points: n points that may stand.
        place: (T, n, 3) metres, where a motion has them.
        time_s: (T,) seconds.
    """
    xyz, times = place.numpy(), time_s.numpy()
    clearance, is_sole = points.clearance_m.numpy(), points.is_sole.numpy()
    soles = xyz[:, is_sole] - np.array([0.0, 0.0, 1.0]) * clearance[is_sole, None]
    height = floor_height(soles, times)
    lowest = xyz[..., 2].min(1)
    if height is not None and np.quantile(lowest, 0.05) < height - _BELOW_M:
        height = None  # still feet, but in the air: somebody lies, or stands on the hands
    if height is None:
        low = float(np.quantile(lowest, 0.1))
        if abs(low) > _FAR_M:
            return Floor(f"not believed: the feet's lowest is at {low:.2f} m", points)
        height = 0.0
    elsewhere = abs(height) > _TRUSTED_M
    contacts = find_contacts(
        xyz, times, clearance_m=clearance, on_steps=is_sole, floor_m=height if elsewhere else 0.0
    )
    how = f"used at {height:.3f} m, where the feet stand" if elsewhere else "used"
    return Floor(how, points, contacts, place[..., 2].min(0).values)
