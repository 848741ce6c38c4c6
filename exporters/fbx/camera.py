"""A calibrated camera in an FBX scene."""

from __future__ import annotations

import json

import numpy as np

from exporters.axes import FloatArray
from exporters.euler import continuous_euler
from exporters.fbx.binary import Node, f64, flag, i32, text
from exporters.fbx.objects import Scene, enum, integer, number, properties, string, vector
from exporters.lenses import Lens

_MM_PER_INCH = 25.4
_BY_FOCAL_LENGTH = 3
"""ApertureMode: the focal length says how wide the view is."""
_FIXED_RESOLUTION = 2
_NEAR_CM, _FAR_CM = 5.0, 100000.0


def add_camera(scene: Scene, view: Lens) -> int:
    """Add a camera that stands still, its calibration as properties of its own; returns its id."""
    # FBX's cameras look along their X, with Y up.
    right, up, back = view.right_up_back.T
    turn = np.stack([-back, up, right], axis=1)
    degrees = np.rad2deg(continuous_euler(turn[None], "ZYX")[0])[::-1]
    own = [string(f"mocap_{key}", json.dumps(value), "U") for key, value in view.properties().items()]
    model = scene.add(
        "Model",
        view.name,
        "Model",
        "Camera",
        Node("Version", (i32(232),)),
        properties(
            enum("RotationOrder", 0),
            enum("InheritType", 1),
            integer("DefaultAttributeIndex", 0),
            vector("Lcl Translation", "Lcl Translation", "A", view.xyz.tolist()),
            vector("Lcl Rotation", "Lcl Rotation", "A", degrees.tolist()),
            vector("Lcl Scaling", "Lcl Scaling", "A", (1.0, 1.0, 1.0)),
            *own,
        ),
        Node("Shading", (flag(True),)),
        Node("Culling", (text("CullingOff"),)),
    )
    attribute = scene.add("NodeAttribute", view.name, "NodeAttribute", "Camera", *_attribute(view))
    scene.connect(model, 0)
    scene.connect(attribute, model)
    return model


def _attribute(view: Lens) -> list[Node]:
    (film_x, film_y), (offset_x, offset_y) = view.film_mm, view.offset_mm
    _, up, back = view.right_up_back.T
    aim = view.xyz - 100 * back

    def place(name: str, xyz: FloatArray) -> Node:
        return Node(name, tuple(f64(float(value)) for value in xyz))

    return [
        Node("TypeFlags", (text("Camera"),)),
        Node("GeometryVersion", (i32(124),)),
        place("Position", view.xyz),
        place("Up", up),
        place("LookAt", aim),
        Node("CameraOrthoZoom", (f64(1.0),)),
        properties(
            vector("Position", "Vector", "A", view.xyz.tolist()),
            vector("UpVector", "Vector", "A", up.tolist()),
            vector("InterestPosition", "Vector", "A", aim.tolist()),
            enum("AspectRatioMode", _FIXED_RESOLUTION),
            number("AspectWidth", float(view.size_px[0])),
            number("AspectHeight", float(view.size_px[1])),
            number("PixelAspectRatio", 1.0),
            number("FilmWidth", film_x / _MM_PER_INCH),
            number("FilmHeight", film_y / _MM_PER_INCH),
            number("FilmAspectRatio", film_x / film_y),
            number("FilmOffsetX", offset_x / _MM_PER_INCH, "A"),
            number("FilmOffsetY", offset_y / _MM_PER_INCH, "A"),
            enum("ApertureMode", _BY_FOCAL_LENGTH),
            enum("GateFit", 0),
            number("FocalLength", view.focal_mm, "A"),
            number("FieldOfView", float(np.rad2deg(2 * np.arctan2(film_x / 2, view.focal_mm))), "A"),
            number("NearPlane", _NEAR_CM),
            number("FarPlane", _FAR_CM),
        ),
    ]
