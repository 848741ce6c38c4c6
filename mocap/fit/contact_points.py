"""The points of a body that may stand on the floor: soles, palms and knees."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from rigs.body import Body
from rigs.keypoint_model import KeypointModel

SOLES = tuple(f"{side}_{part}" for side in ("left", "right") for part in ("heel", "inner", "outer"))
"""Under the heel, and under the balls of the big and the little toe, so that a standing foot cannot roll."""
OTHERS = ("left_palm", "right_palm", "left_knee", "right_knee")

CONTACT_OF = {
    **{f"{side}_heel": f"{side}_heel" for side in ("left", "right")},
    **{f"{side}_{part}": f"{side}_foot" for side in ("left", "right") for part in ("inner", "outer")},
    **{f"{side}_palm": f"{side}_hand" for side in ("left", "right")},
    **{f"{side}_knee": f"{side}_knee" for side in ("left", "right")},
}
"""What a motion calls the contact of each point; a foot stands where either side of its ball does."""
CONTACT_NAMES = tuple(dict.fromkeys(CONTACT_OF[name] for name in (*SOLES, *OTHERS)))
"""What a motion tells the contacts of."""

_SOLE_M = 0.012
"""Vertices this close to a foot's lowest point belong to its sole."""
_SIZE_M = 0.03
"""Vertices within this of a palm's or a knee's middle belong to it."""
_LOOSE = 3.0
"""Palms and knees roll and give way: how much further they may be from where they stand than soles."""


@dataclass(frozen=True)
class ContactPoints:
    """n points of a body that may stand."""

    model: KeypointModel
    """The points."""
    clearance_m: Tensor
    """(n,) metres: how high the point is while its surface touches the floor."""
    is_sole: Tensor
    """(n,) bool."""
    looseness: Tensor
    """(n,) how far it may be from where it stands, in those of a sole."""


def contact_points(body: Body) -> ContactPoints | None:
    """The points of a body that may stand on the floor; None for a body without feet.

    Each is the mean of a patch of vertices, so that its place is smooth in the pose.
    """
    patches: dict[str, Tensor] = {}
    clearance: list[float] = []
    for side in ("left", "right"):
        sole = _sole(body, side)
        if sole is None:
            return None
        patches |= sole
    floor = min(float(body.v_template[patch, 1].min()) for patch in patches.values())
    clearance += [float(body.v_template[patch, 1].mean()) - floor for patch in patches.values()]
    # the body's own foot may stand askew at rest: what counts is how far the patch is above its own lowest
    for side in ("left", "right"):
        for name, patch in (("palm", _palm(body, side)), ("knee", _kneecap(body, side))):
            if patch is not None and len(patch):
                patches[f"{side}_{name}"] = patch
                clearance.append(0.01)
    is_sole = torch.tensor([name in SOLES for name in patches])
    model = _model(body, tuple(patches), list(patches.values()))
    looseness = torch.where(is_sole, 1.0, _LOOSE).double()
    return ContactPoints(model, torch.tensor(clearance, dtype=torch.float64), is_sole, looseness)


def contacts_of(names: Sequence[str], probability: Tensor) -> Tensor:
    """(T, 8) for ``CONTACT_NAMES`` from (T, n) for points; 0 for points that the body lacks."""
    columns = [
        [index for index, name in enumerate(names) if CONTACT_OF[name] == contact]
        for contact in CONTACT_NAMES
    ]
    nothing = torch.zeros(len(probability), dtype=torch.float64)
    parts = [probability[:, rows].max(-1).values.double() if rows else nothing for rows in columns]
    return torch.stack(parts, -1)


def _sole(body: Body, side: str) -> dict[str, Tensor] | None:
    """Vertices under heel and ball of a foot."""
    foot = _carried(body, (f"{side}_ankle", f"{side}_foot"))
    if foot is None or len(foot) < 4:
        return None
    place = body.v_template[foot]
    low = place[:, 1] < place[:, 1].min() + _SOLE_M
    back, front = place[:, 2].min(), place[:, 2].max()
    along = (place[:, 2] - back) / (front - back)
    ball = low & (along > 0.55) & (along < 0.85)
    middle = place[ball, 0].mean().abs() if bool(ball.any()) else place[:, 0].abs().mean()
    outer = place[:, 0].abs() > middle
    patches = {"heel": low & (along < 0.25), "inner": ball & ~outer, "outer": ball & outer}
    return {
        f"{side}_{name}": foot[patch] if bool(patch.any()) else foot[low] for name, patch in patches.items()
    }


def _palm(body: Body, side: str) -> Tensor | None:
    """Vertices of the palm, which looks down at rest, at the knuckles."""
    parts = [f"{side}_{part}" for part in ("wrist", "hand", "middle1")]
    hand = _carried(body, [part for part in parts if part in body.joint_names])
    return _near(body, hand, (f"{side}_hand", f"{side}_middle1"), 1, down=True)


def _kneecap(body: Body, side: str) -> Tensor | None:
    """Vertices in front of the knee."""
    leg = _carried(body, (f"{side}_hip", f"{side}_knee"))
    return _near(body, leg, (f"{side}_knee",), 2, down=False)


def _near(
    body: Body, vertices: Tensor | None, joints: Sequence[str], axis: int, *, down: bool
) -> Tensor | None:
    """Of some vertices those around a joint, on one side of it along an axis."""
    index = next((body.joint_names.index(name) for name in joints if name in body.joint_names), None)
    if vertices is None or index is None:
        return None
    apart = body.v_template[vertices] - body.joint_template[index]
    across = [part for part in range(3) if part != axis]
    near = torch.linalg.norm(apart[:, across], dim=-1) < _SIZE_M
    side = apart[:, axis] < 0 if down else apart[:, axis] > 0
    return vertices[near & side]


def _carried(body: Body, joints: Sequence[str]) -> Tensor | None:
    """Vertices that follow some joints more than others; None for a body without these joints."""
    if not joints or not all(name in body.joint_names for name in joints):
        return None
    columns = [body.joint_names.index(name) for name in joints]
    return torch.nonzero(body.weights[:, columns].sum(-1) > 0.6)[:, 0]


def _model(body: Body, names: tuple[str, ...], patches: Sequence[Tensor]) -> KeypointModel:
    """The patches' means as points of the body."""
    mix = torch.stack([torch.bincount(patch, minlength=len(body.weights)) / len(patch) for patch in patches])
    dotted = replace(body, keypoint_names=names, keypoint_regressor=mix.double())
    return dotted.keypoint_model(names)
