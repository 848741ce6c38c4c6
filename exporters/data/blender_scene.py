"""Sets a scene in Blender: characters, cameras, footage behind them. Run it so: blender --python FILE."""

import json
import logging
from pathlib import Path

import bpy
from mathutils import Matrix

SCENE = json.loads("SCENE")
LOG = logging.getLogger("mocap")
FOLDER = Path(__file__).resolve().parent


def set_rate(scene: bpy.types.Scene) -> None:
    """The scene plays at the motion's rate."""
    scene.render.fps = max(1, round(SCENE["rate_hz"]))
    scene.render.fps_base = scene.render.fps / SCENE["rate_hz"]


def add_character(path: Path) -> int:
    """Import one file; returns the frame that its motion begins at, on which importers do not agree.

    Cameras that travel in the file go: the scene gets its own, with the footage behind them.
    """
    before, objects = set(bpy.data.actions), set(bpy.data.objects)
    if path.suffix == ".fbx" and hasattr(bpy.ops.wm, "fbx_import"):
        bpy.ops.wm.fbx_import(filepath=str(path))
    elif path.suffix == ".fbx":
        bpy.ops.import_scene.fbx(filepath=str(path))
    else:
        bpy.ops.import_scene.gltf(filepath=str(path))
    for item in set(bpy.data.objects) - objects:
        if item.type == "CAMERA":
            bpy.data.objects.remove(item)
    starts = [action.frame_range[0] for action in bpy.data.actions if action not in before]
    return round(min(starts, default=1))


def add_camera(view: dict, first: int) -> None:
    """A camera where the real one stood, with the real one's lens."""
    data = bpy.data.cameras.new(view["name"])
    data.sensor_fit, data.sensor_width = "HORIZONTAL", view["sensor_mm"]
    data.lens = view["lens_mm"]
    data.shift_x, data.shift_y = view["shift"]
    data.clip_start, data.clip_end = 0.05, 1000.0
    camera = bpy.data.objects.new(view["name"], data)
    matrix = Matrix(view["right_up_back"]).to_4x4()
    matrix.translation = view["xyz"]
    camera.matrix_world = matrix
    for key in ("size_px", "focal_px", "center_px", "distortion_model", "distortion"):
        camera[f"mocap_{key}"] = view[key]
    bpy.context.scene.collection.objects.link(camera)
    if "clip" in view:
        add_clip(data, view, first)


def add_clip(data: bpy.types.Camera, view: dict, first: int) -> None:
    """The footage behind the camera, at the frame when it was filmed, straightened where Blender can."""
    path = FOLDER / view["clip"]
    if not path.exists():
        LOG.warning("%s: no clip %s", view["name"], path)
        return
    clip = bpy.data.movieclips.load(str(path))
    clip.frame_start = first + view["clip_begins_after"]
    lens = clip.tracking.camera
    lens.sensor_width, lens.units = view["sensor_mm"], "PIXELS"
    lens.focal_length_pixels = view["focal_px"][0]
    across, down = view["center_px"]
    lens.principal_point_pixels = (across + 0.5, view["size_px"][1] - 0.5 - down)
    background = data.background_images.new()
    background.source, background.clip = "MOVIE_CLIP", clip
    background.alpha, background.display_depth, background.frame_method = 1.0, "BACK", "FIT"
    data.show_background_images = True
    k1, k2, p1, p2, k3 = ([*view["distortion"], 0, 0, 0, 0, 0])[:5]
    if view["can_undistort"]:
        lens.distortion_model = "BROWN"
        lens.brown_k1, lens.brown_k2, lens.brown_k3, lens.brown_k4 = k1, k2, k3, 0
        lens.brown_p1, lens.brown_p2 = -p1, p2  # its y points up
        background.clip_user.use_render_undistorted = True
        background.clip_user.proxy_render_size = "FULL"
    else:
        LOG.warning("%s: Blender has no lens like this one; edges of the footage will not fit", view["name"])
    if abs(view["clip_rate_hz"] / SCENE["rate_hz"] - 1) > 1e-3:
        rates = view["clip_rate_hz"], SCENE["rate_hz"]
        LOG.warning("%s: footage of %.3f Hz runs away from motion of %.3f Hz", view["name"], *rates)


def main() -> None:
    """Set the scene; objects that are there stay."""
    scene = bpy.context.scene
    set_rate(scene)  # importers turn seconds into frames with it
    first = 1
    for name in SCENE["characters"]:
        first = add_character(FOLDER / name)
    set_rate(scene)
    for view in SCENE["cameras"]:
        add_camera(view, first)
    scene.frame_start, scene.frame_end = first, first + SCENE["num_frames"] - 1
    if SCENE["cameras"]:
        view = SCENE["cameras"][0]
        scene.camera = bpy.data.objects[view["name"]]
        scene.render.resolution_x, scene.render.resolution_y = view["size_px"]
        scene.render.film_transparent = True
    scene.frame_set(first)


main()
