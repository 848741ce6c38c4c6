"""Runs inside Blender's Python: what its importers make of files.

Usage: blender_joints.py JOB.json, as in answer.py; the mode is empty, "legacy" for the older FBX importer, or
"quaternion" for BVH.
"""

import json
import struct

import bpy
import numpy as np
from answer import answer_all


def glb_rate(path):
    """Rate of the first sampler: Blender's glTF importer counts in the scene's rate and never sets it."""
    with open(path, "rb") as stream:
        data = stream.read()
    length = struct.unpack_from("<I", data, 12)[0]
    scene = json.loads(data[20 : 20 + length])
    times = scene["accessors"][scene["animations"][0]["samplers"][0]["input"]]
    return (times["count"] - 1) / times["max"][0] if times["count"] > 1 else 30.0


def load(source, mode):
    """Import with the default settings, but for what the format cannot say."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    if source.endswith(".bvh"):
        bpy.ops.import_anim.bvh(
            filepath=source,
            global_scale=0.01,
            update_scene_fps=True,
            update_scene_duration=True,
            rotate_mode=mode.upper() or "NATIVE",
        )
    elif source.endswith(".glb"):
        bpy.context.scene.render.fps = round(glb_rate(source))
        bpy.ops.import_scene.gltf(filepath=source)
    elif source.endswith((".usda", ".usdc", ".usdz")):
        bpy.ops.wm.usd_import(filepath=source)
    elif mode == "legacy":
        bpy.ops.preferences.addon_enable(module="io_scene_fbx")
        bpy.ops.import_scene.fbx(filepath=source)
    else:
        bpy.ops.wm.fbx_import(filepath=source)


def skin_now(skin):
    """(V, 3) vertices of the posed skin in the world."""
    posed = skin.evaluated_get(bpy.context.evaluated_depsgraph_get())
    flat = np.empty(len(posed.data.vertices) * 3)
    posed.data.vertices.foreach_get("co", flat)
    world = np.array(posed.matrix_world)
    return flat.reshape(-1, 3) @ world[:3, :3].T + world[:3, 3]


def read(source, mode):
    """Names, rate, and the places of all bones at rest and at all frames; the skin at three of them."""
    load(source, mode)
    armature = next(item for item in bpy.data.objects if item.type == "ARMATURE")
    skin = next((item for item in bpy.data.objects if item.type == "MESH" and item.vertex_groups), None)
    scene = bpy.context.scene
    names = [bone.name for bone in armature.pose.bones]
    first, last = (round(end) for end in armature.animation_data.action.frame_range)
    wanted = {first, (first + last) // 2, last}
    places, vertices = [], []
    for frame in range(first, last + 1):
        scene.frame_set(frame)
        world = np.array(armature.matrix_world)
        places.append([world @ np.array(bone.matrix) for bone in armature.pose.bones])
        if skin is not None and frame in wanted:
            vertices.append(skin_now(skin))
    world = np.array(armature.matrix_world)
    rest = [world @ np.array(bone.bone.matrix_local) for bone in armature.pose.bones]
    arrays = {"rest": np.array(rest)[:, :3], "places": np.array(places)[:, :, :3]}
    if vertices:
        arrays["vertices"] = np.array(vertices)
    return names, scene.render.fps / scene.render.fps_base, arrays


answer_all(read)
