"""Runs inside Blender's Python: runs a generated scene script and renders one frame through each camera.

Usage: render_scene.py SCRIPT FRAME FOLDER, the first frame being 0
Writes FOLDER/<camera>.png, the characters alone on nothing, and FOLDER/scene.json, what the scene has.
"""

import json
import runpy
import sys
from pathlib import Path

import bpy


def facts() -> dict:
    """What the script made."""
    scene = bpy.context.scene
    cameras = {}
    for item in bpy.data.objects:
        if item.type != "CAMERA":
            continue
        plates = [plate for plate in item.data.background_images if plate.clip]
        cameras[item.name] = {
            "clips": [bpy.path.abspath(plate.clip.filepath) for plate in plates],
            "first_frames": [plate.clip.frame_start for plate in plates],
            "straightened": [plate.clip_user.use_render_undistorted for plate in plates],
            "distortion": list(item.get("mocap_distortion", ())),
        }
    rate = scene.render.fps / scene.render.fps_base
    return {"rate_hz": rate, "frames": [scene.frame_start, scene.frame_end], "cameras": cameras}


def main(script: str, frame: str, folder: str) -> None:
    """Set the scene and render."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    runpy.run_path(script)
    scene = bpy.context.scene
    sun = bpy.data.objects.new("sun", bpy.data.lights.new("sun", "SUN"))
    sun.data.energy, sun.rotation_euler = 3.0, (0.6, 0.2, 0.4)
    scene.collection.objects.link(sun)
    scene.world = bpy.data.worlds.new("world")
    scene.render.engine, scene.cycles.samples, scene.cycles.device = "CYCLES", 1, "CPU"
    scene.cycles.use_denoising, scene.cycles.max_bounces = False, 0
    scene.render.threads_mode, scene.render.threads = "FIXED", 1
    scene.view_settings.view_transform = "Standard"
    scene.frame_set(scene.frame_start + int(frame))
    for item in [item for item in bpy.data.objects if item.type == "CAMERA"]:
        scene.camera = item
        scene.render.resolution_x, scene.render.resolution_y = item["mocap_size_px"]
        scene.render.filepath = str(Path(folder) / f"{item.name}.png")
        bpy.ops.render.render(write_still=True)
    (Path(folder) / "scene.json").write_text(json.dumps(facts()), encoding="utf-8")


main(*sys.argv[1:])
