"""What a performer looks like: clothes, hair, skin and face, painted on the body at rest.

Colours are a function of the place on the resting body (T-pose, Y up, facing +Z), so they are as sharp as the
picture, however coarse the mesh. Clothes and hair stand off the skin by amounts that no truth file tells.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mocap.virtual.room import smooth_noise
from rigs.body import Body

FloatArray = NDArray[np.floating]
Color = tuple[float, float, float]


@dataclass(frozen=True)
class Look:
    """Colours in [0, 1] and cloth."""

    skin: Color = (0.80, 0.60, 0.48)
    """Face, neck, forearms, hands."""
    hair: Color = (0.17, 0.11, 0.07)
    """Hair and brows."""
    shirt: Color = (0.25, 0.42, 0.62)
    """Shirt, down to the waist."""
    trousers: Color = (0.20, 0.20, 0.24)
    """Trousers, down to the ankles."""
    shoes: Color = (0.55, 0.16, 0.13)
    """Shoes; their soles are white."""
    sleeve: float = 1.15
    """Length of the sleeves: 1 ends at the elbow, 2 at the wrist."""
    leg: float = 2.0
    """Length of the trousers: 1 ends at the knee, 2 at the ankle."""
    stripe: float = 1.0
    """How much a stripe across the chest stands out; 0 for none."""
    cloth_m: float = 0.009
    """How far cloth stands off the skin, mean; half of it varies from place to place."""
    hair_m: float = 0.016
    """How far the hair stands off the scalp."""
    seed: int = 0
    """Of the cloth's folds."""


@dataclass(frozen=True)
class Marks:
    """Places on one resting body that clothes and face are painted by, metres, pelvis at the origin."""

    ankle_y: float
    knee_y: float
    waist_y: float
    neck_y: float
    elbow_x: float
    wrist_x: float
    sole_y: float
    eye: FloatArray
    """(3,) left eye."""
    ear: FloatArray
    """(3,) left ear."""
    mouth: FloatArray
    """(3,) left corner of the mouth."""
    crown_y: float

    @staticmethod
    def of(body: Body, betas: FloatArray) -> Marks:
        """The marks of a body that has the keypoints of the shipped one."""
        joints = body.joints_rest(betas).numpy()
        origin = joints[0]
        vertices = body.vertices_rest(betas).numpy() - origin
        place = {name: xyz - origin for name, xyz in zip(body.joint_names, joints, strict=True)}
        keypoints = dict(zip(body.keypoint_names, body.keypoint_regressor.numpy() @ vertices, strict=True))
        return Marks(
            ankle_y=float(place["left_ankle"][1]),
            knee_y=float(place["left_knee"][1]),
            waist_y=float(place["spine1"][1]),
            neck_y=float(place["neck"][1]),
            elbow_x=float(place["left_elbow"][0]),
            wrist_x=float(place["left_wrist"][0]),
            sole_y=float(vertices[:, 1].min()),
            eye=keypoints["left_eye"],
            ear=keypoints["left_ear"],
            mouth=keypoints["left_mouth"] if "left_mouth" in keypoints else keypoints["mouth_left"],
            crown_y=float(vertices[:, 1].max()),
        )


def paint(look: Look, marks: Marks, rest: FloatArray) -> FloatArray:
    """(N, 3) float32 colours of (N, 3) places on the resting body, metres, pelvis at the origin."""
    side, up = np.abs(rest[:, 0]), rest[:, 1]
    color = np.tile(np.array(look.skin, np.float32), (len(rest), 1))
    weave = smooth_noise(rest * 22, look.seed) * 0.07 + smooth_noise(rest * 130, look.seed + 1) * 0.05
    head = _is_head(marks, rest)
    if head.any():
        color[head] = _face(look, marks, rest[head])
    shirt, trousers, shoes = _clothes(look, marks, rest)
    color[shirt] = look.shirt
    stripe = shirt & (np.abs(up - (marks.neck_y - 0.22)) < 0.035) & (side < 0.3)
    pale = 0.55 * look.stripe
    color[stripe] = np.array(look.shirt) * (1 - pale) + 0.5 * look.stripe
    color[trousers] = look.trousers
    color[trousers & (up > marks.waist_y + 0.005)] = (0.10, 0.07, 0.05)
    color[shoes] = look.shoes
    color[shoes & (up < marks.sole_y + 0.018)] = (0.85, 0.85, 0.83)
    cloth = shirt | trousers | shoes
    color[cloth] *= (1 + weave[cloth])[:, None]
    color[~cloth] *= (1 + 0.35 * weave[~cloth])[:, None]
    return np.clip(color, 0, 1)


def stand_off(look: Look, marks: Marks, rest: FloatArray) -> FloatArray:
    """(N,) metres that cloth and hair stand off the skin at (N, 3) places of the resting body."""
    shirt, trousers, shoes = _clothes(look, marks, rest)
    folds = smooth_noise(rest * 9, look.seed + 2)
    distance = np.zeros(len(rest))
    cloth = shirt | trousers
    distance[cloth] = look.cloth_m * (1 + 0.5 * folds[cloth])
    distance[shoes & (rest[:, 1] > marks.sole_y + 0.02)] = 0.007
    hair = _is_head(marks, rest) & _is_hair(marks, rest)
    distance[hair] = look.hair_m * (1 + 0.4 * folds[hair])
    return distance


def _is_head(marks: Marks, rest: FloatArray) -> NDArray[np.bool_]:
    return (rest[:, 1] > marks.neck_y + 0.03) & (np.abs(rest[:, 0]) < 0.13)


def _clothes(look: Look, marks: Marks, rest: FloatArray) -> tuple[NDArray[np.bool_], ...]:
    """Where shirt, trousers and shoes are."""
    side, up = np.abs(rest[:, 0]), rest[:, 1]
    wave = smooth_noise(rest * 16, look.seed + 3) * 0.008
    sleeve_x = marks.elbow_x + (look.sleeve - 1) * (marks.wrist_x - marks.elbow_x)
    # The neckline lies lower in front than behind.
    neckline = marks.neck_y + 0.005 - 0.35 * np.clip(rest[:, 2], -0.05, 0.1)
    opening = (side < 0.085) & (up > neckline)
    shirt = (up > marks.waist_y - 0.02 + wave) & (side < sleeve_x + wave) & ~opening & ~_is_head(marks, rest)
    shoes = up < marks.ankle_y + 0.012
    hem_y = marks.knee_y + (look.leg - 1) * (marks.ankle_y - marks.knee_y)
    legs = (up > hem_y + wave) if look.leg < 2 else ~shoes
    trousers = (up <= marks.waist_y - 0.02 + wave) & legs & ~shoes & (side < 0.4)
    return shirt, trousers, shoes


def _is_hair(marks: Marks, rest: FloatArray) -> NDArray[np.bool_]:
    """Everything above a line that runs from the brow over the ear to the nape."""
    brow = marks.eye[1] + 0.058
    nape = marks.mouth[1] + 0.005
    depth = np.clip((rest[:, 2] - (marks.ear[2] - 0.015)) / (marks.eye[2] - marks.ear[2]), 0, 1)
    line = nape + (brow - nape) * np.sqrt(depth) + smooth_noise(rest * 60, 5) * 0.004
    near_ear = np.abs(rest - marks.ear * np.where(rest[:, :1] < 0, [-1, 1, 1], [1, 1, 1]))
    ear = (near_ear[:, 1] < 0.032) & (near_ear[:, 2] < 0.024) & (near_ear[:, 0] < 0.03)
    return (rest[:, 1] > line) & ~ear


def _face(look: Look, marks: Marks, rest: FloatArray) -> FloatArray:
    """Skin, hair, brows, eyes and lips of the head."""
    side, up, depth = np.abs(rest[:, 0]), rest[:, 1], rest[:, 2]
    color = np.tile(np.array(look.skin, np.float32), (len(rest), 1))
    front = depth > marks.eye[2] - 0.035
    across, above = side - marks.eye[0], up - marks.eye[1]
    cheek = np.exp(-(((side - 0.04) / 0.022) ** 2 + ((up - marks.eye[1] + 0.04) / 0.018) ** 2))
    color += (cheek * front)[:, None] * np.array([0.05, -0.05, -0.04], np.float32)
    socket = np.exp(-((across / 0.02) ** 2 + (above / 0.013) ** 2))
    color *= (1 - 0.30 * socket * front)[:, None]
    eye = front & ((across / 0.0145) ** 2 + (above / 0.0065) ** 2 < 1)
    color[eye] = (0.88, 0.87, 0.85)
    color[eye & (np.hypot(across, above) < 0.0062)] = (0.16, 0.10, 0.07)
    lash = front & (np.abs(above - 0.007 + 12 * across**2) < 0.0022) & (np.abs(across) < 0.017)
    color[lash] = (0.08, 0.06, 0.05)
    brow = front & (np.abs(above - 0.024 + 14 * across**2) < 0.0045) & (np.abs(across + 0.002) < 0.021)
    color[brow] = look.hair
    low = up - marks.mouth[1]
    lips = front & (np.abs(low) < 0.0095 * np.sqrt(np.clip(1 - (side / (marks.mouth[0] + 0.002)) ** 2, 0, 1)))
    color[lips] = np.array(look.skin) * (0.86, 0.55, 0.58)
    color[lips & (np.abs(low) < 0.0015)] = (0.30, 0.12, 0.12)
    hair = _is_hair(marks, rest)
    strands = 0.8 + 0.4 * smooth_noise(rest * np.array([160, 40, 160]), look.seed + 6)[hair]
    color[hair] = np.array(look.hair) * strands[:, None]
    return color
