"""Runs inside Blender's Python: what its importers make of a file.

Usage: blender_joints.py IN OUT.json [legacy]
"""

import json
import struct
import sys

import bpy


def glb_rate(path: str) -> float:
    """Rate of the first sampler: Blender's glTF importer counts in the scene's rate and never sets it."""
    with open(path, "rb") as stream:
        data = stream.read()
    length = struct.unpack_from("<I", data, 12)[0]
    scene = json.loads(data[20 : 20 + length])
    times = scene["accessors"][scene["animations"][0]["samplers"][0]["input"]]
    return (times["count"] - 1) / times["max"][0] if times["count"] > 1 else 30.0


def load(source: str, legacy: bool) -> None:
    """Import with the default settings, but for what the format cannot say."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    if source.endswith(".bvh"):
        bpy.ops.import_anim.bvh(
            filepath=source, global_scale=0.01, update_scene_fps=True, update_scene_duration=True
        )
    elif source.endswith(".glb"):
        bpy.context.scene.render.fps = round(glb_rate(source))
        bpy.ops.import_scene.gltf(filepath=source)
    elif source.endswith((".usda", ".usdc", ".usdz")):
        bpy.ops.wm.usd_import(filepath=source)
    elif legacy:
        bpy.ops.preferences.addon_enable(module="io_scene_fbx")
        bpy.ops.import_scene.fbx(filepath=source)
    else:
        bpy.ops.wm.fbx_import(filepath=source)


def main(source: str, target: str, mode: str = "") -> None:
    """Write names, rate and the heads of all bones at all frames."""
    load(source, mode == "legacy")
    armature = next(item for item in bpy.data.objects if item.type == "ARMATURE")
    scene = bpy.context.scene
    names = [bone.name for bone in armature.pose.bones]
    first, last = (round(end) for end in armature.animation_data.action.frame_range)
    joints = []
    for frame in range(first, last + 1):
        scene.frame_set(frame)
        joints.append([list(armature.matrix_world @ bone.head) for bone in armature.pose.bones])
    rate = scene.render.fps / scene.render.fps_base
    with open(target, "w", encoding="utf-8") as stream:
        json.dump({"names": names, "rate_hz": rate, "joints": joints}, stream)


main(*sys.argv[1:])
