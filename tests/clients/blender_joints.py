"""Runs inside Blender's Python: what its BVH importer makes of a file.

Usage: blender_joints.py IN.bvh OUT.json
"""

import json
import sys

import bpy


def main(source: str, target: str) -> None:
    """Import with the default settings, but for the unit (which BVH cannot say) and the scene's rate."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    bpy.ops.import_anim.bvh(
        filepath=source, global_scale=0.01, update_scene_fps=True, update_scene_duration=True
    )
    armature = bpy.context.object
    scene = bpy.context.scene
    names = [bone.name for bone in armature.pose.bones]
    first, last = (int(end) for end in armature.animation_data.action.frame_range)
    joints = []
    for frame in range(first, last + 1):
        scene.frame_set(frame)
        joints.append([list(armature.matrix_world @ bone.head) for bone in armature.pose.bones])
    rate = scene.render.fps / scene.render.fps_base
    with open(target, "w", encoding="utf-8") as stream:
        json.dump({"names": names, "rate_hz": rate, "joints": joints}, stream)


main(*sys.argv[1:])
