"""What ufbx makes of an FBX file.

Usage: ufbx_joints.py IN.fbx OUT.json
"""

import json
import sys

import ufbx


def main(source: str, target: str) -> None:
    """Write names, rate and the places of all bones at all frames."""
    held = []  # the binding hands out borrowed references: whatever it returns must stay alive
    scene = ufbx.load_file(source)
    stack = scene.anim_stacks[0]
    anim = stack.anim
    rate = scene.settings.frames_per_second
    held += [scene, stack, anim]
    names, joints = [], []
    count = round((stack.time_end - stack.time_begin) * rate) + 1
    for frame in range(count):
        posed = scene.evaluate(anim, stack.time_begin + frame / rate)
        held.append(posed)
        row = []
        for node in posed.nodes:
            held.append(node)
            if node.bone is None:
                continue
            place = node.node_to_world.c3
            row.append([place.x, place.y, place.z])
            if frame == 0:
                names.append(node.name)
        joints.append(row)
    with open(target, "w", encoding="utf-8") as stream:
        json.dump({"names": names, "rate_hz": rate, "joints": joints}, stream)


main(*sys.argv[1:])
