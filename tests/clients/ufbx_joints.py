"""What ufbx makes of FBX files. Usage: ufbx_joints.py JOB.json, as in answer.py."""

import numpy as np
import ufbx
from answer import answer_all


def bones(scene, held):
    """Names and matrices (N, 3, 4) of a scene's bones."""
    names, places = [], []
    for node in scene.nodes:
        held.append(node)
        if node.bone is not None:
            now = node.node_to_world
            columns = (now.c0, now.c1, now.c2, now.c3)
            places.append([[getattr(column, axis) for column in columns] for axis in "xyz"])
            names.append(node.name)
    return names, places


def read(source, mode):
    """Names, rate and the places of all bones at rest, at all frames, and halfway between them."""
    held = []  # the binding hands out borrowed references: whatever it returns must stay alive
    scene = ufbx.load_file(source)
    stack = scene.anim_stacks[0]
    anim = stack.anim
    rate = scene.settings.frames_per_second
    held += [scene, stack, anim]
    names, rest = bones(scene, held)
    halves = round((stack.time_end - stack.time_begin) * rate) * 2 + 1
    found = []
    for half in range(halves):
        posed = scene.evaluate(anim, stack.time_begin + half / 2 / rate)
        held.append(posed)
        found.append(bones(posed, held)[1])
    found = np.array(found)
    KEPT.append(held)
    return names, rate, {"rest": rest, "places": found[::2], "between": found[1::2, :, :, 3]}


KEPT = []
"""Objects of the binding; to let go of them crashes too. So each file has a process of its own."""

answer_all(read, apart=True)
