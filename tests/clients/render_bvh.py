"""Draw a BVH with Blender, so that a person can see whether it stands upright, feet on the floor.

Usage: .venv-clients/bin/python tests/clients/render_bvh.py IN.bvh OUT.png [--frame N]

Several frames side by side, each moved sideways but at its own height and heading, or with --frame one frame
where it is. Grid lines are a metre apart; the person's left is red, their right blue; the axes stand at the
origin (x red, y green, z blue). Runs without a display; --metres for files that do not count in centimetres.
"""

import argparse
from dataclasses import dataclass

import bpy  # isort: skip (the others are parts of it and exist once it is loaded)
import bmesh
from mathutils import Matrix, Vector

STEP_M = 1.3
COLOURS = {
    "left": (0.80, 0.12, 0.10, 1),
    "right": (0.10, 0.25, 0.80, 1),
    "middle": (0.45, 0.42, 0.38, 1),
    "floor": (0.55, 0.55, 0.53, 1),
    "line": (0.22, 0.22, 0.22, 1),
    "y": (0.1, 0.55, 0.12, 1),
}


@dataclass
class Bone:
    """One bone in one frame, world coordinates."""

    side: str
    head: Vector
    tail: Vector


def read_figures(source: str, scale: float, frames: list[int] | None, count: int) -> list[list[Bone]]:
    """Import the file and pose it at the frames, or at ``count`` frames spread over it."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    bpy.ops.import_anim.bvh(filepath=source, global_scale=scale)
    armature = bpy.context.object
    first, last = (int(end) for end in armature.animation_data.action.frame_range)
    if frames is None:
        frames = [round(first + (last - first) * i / max(count - 1, 1)) for i in range(count)]
    else:
        frames = [first + frame for frame in frames]
    figures = []
    for frame in frames:
        bpy.context.scene.frame_set(frame)
        place = armature.matrix_world
        figures.append([rod for bone in armature.pose.bones for rod in bones_at(bone, place)])
    armature.hide_render = True
    return figures


def bones_at(bone: bpy.types.PoseBone, place: Matrix) -> list[Bone]:
    """From the parent's joint to this one, and to the end if it is the last; Blender's bones leave gaps."""
    head = place @ bone.head
    found = [Bone(side_of(bone.bone), place @ bone.parent.head if bone.parent else head.copy(), head)]
    if not bone.children:
        found.append(Bone(side_of(bone.bone), head.copy(), place @ bone.tail))
    return found


def side_of(bone: bpy.types.Bone) -> str:
    """By where the bone rests: the left is +x of a figure that faces the viewer."""
    middle = (bone.head_local.x + bone.tail_local.x) / 2
    return "left" if middle > 0.02 else "right" if middle < -0.02 else "middle"


def spread(figures: list[list[Bone]]) -> None:
    """Put the figures in a row along x."""
    for index, bones in enumerate(figures):
        root = bones[0].head
        goal = Vector(((index - (len(figures) - 1) / 2) * STEP_M, 0.0, root.z))
        shift = goal - root
        for bone in bones:
            bone.head, bone.tail = bone.head + shift, bone.tail + shift


def rod(mesh: bmesh.types.BMesh, start: Vector, end: Vector, radius: float, end_radius: float) -> None:
    """A tapered cylinder with a ball at its start."""
    length = (end - start).length
    bmesh.ops.create_icosphere(mesh, subdivisions=2, radius=radius, matrix=Matrix.Translation(start))
    if length < 1e-6:
        return
    turn = Vector((0, 0, 1)).rotation_difference(end - start).to_matrix().to_4x4()
    bmesh.ops.create_cone(
        mesh,
        cap_ends=True,
        segments=16,
        radius1=radius,
        radius2=end_radius,
        depth=length,
        matrix=Matrix.Translation((start + end) / 2) @ turn,
    )


def add(name: str, mesh: bmesh.types.BMesh, colour: tuple[float, float, float, float]) -> None:
    """Put a mesh into the scene."""
    material = bpy.data.materials.new(name)
    material.use_nodes = True
    shader = material.node_tree.nodes["Principled BSDF"]
    shader.inputs["Base Color"].default_value = colour
    shader.inputs["Roughness"].default_value = 0.6
    data = bpy.data.meshes.new(name)
    mesh.to_mesh(data)
    mesh.free()
    data.materials.append(material)
    bpy.context.collection.objects.link(bpy.data.objects.new(name, data))


def draw(figures: list[list[Bone]], center: Vector) -> None:
    """Bones, floor, metre lines and axes."""
    for side in ("left", "right", "middle"):
        mesh = bmesh.new()
        for bones in figures:
            for bone in bones:
                if bone.side == side:
                    rod(mesh, bone.head, bone.tail, 0.035, 0.02)
        add(side, mesh, COLOURS[side])
    mesh = bmesh.new()
    bmesh.ops.create_grid(mesh, size=30, matrix=Matrix.Translation((center.x, center.y, -0.004)))
    add("floor", mesh, COLOURS["floor"])
    mesh = bmesh.new()
    for i in range(-12, 13):
        x, y = round(center.x) + i, round(center.y) + i
        rod(mesh, Vector((x, center.y - 12, 0)), Vector((x, center.y + 12, 0)), 0.006, 0.006)
        rod(mesh, Vector((center.x - 12, y, 0)), Vector((center.x + 12, y, 0)), 0.006, 0.006)
    add("lines", mesh, COLOURS["line"])
    for axis, colour in (((1, 0, 0), "left"), ((0, 1, 0), "y"), ((0, 0, 1), "right")):
        mesh = bmesh.new()
        rod(mesh, Vector((0, 0, 0)), Vector(axis) * 0.5, 0.015, 0.003)
        add(f"axis {axis}", mesh, COLOURS[colour])


def light_and_camera(center: Vector, width: float) -> None:
    """Look from the front (world -y), a little from above; sunlight from the upper left."""
    scene = bpy.context.scene
    scene.world = bpy.data.worlds.new("world")
    scene.world.use_nodes = True
    scene.world.node_tree.nodes["Background"].inputs["Color"].default_value = (0.8, 0.85, 0.9, 1)
    scene.world.node_tree.nodes["Background"].inputs["Strength"].default_value = 0.6
    sun = bpy.data.lights.new("sun", "SUN")
    sun.energy, sun.angle = 2.5, 0.1
    sun_object = bpy.data.objects.new("sun", sun)
    sun_object.rotation_euler = (0.7, -0.5, 0.0)
    scene.collection.objects.link(sun_object)
    camera = bpy.data.cameras.new("camera")
    camera.lens, camera.sensor_width = 50, 36
    camera_object = bpy.data.objects.new("camera", camera)
    distance = max(width, 2.4 * scene.render.resolution_x / scene.render.resolution_y) * 50 / 36 * 1.05
    camera_object.location = center + Vector((0.0, -1.0, 0.25)).normalized() * distance
    direction = center - camera_object.location
    camera_object.rotation_euler = direction.to_track_quat("-Z", "Y").to_euler()
    scene.collection.objects.link(camera_object)
    scene.camera = camera_object


def render(target: str, width_px: int, height_px: int) -> None:
    """Path tracing on the processor: no display, no graphics card."""
    scene = bpy.context.scene
    scene.render.engine = "CYCLES"
    scene.cycles.device = "CPU"
    scene.cycles.samples = 16
    scene.cycles.use_denoising = False
    scene.render.resolution_x, scene.render.resolution_y = width_px, height_px
    scene.view_settings.view_transform = "Standard"
    scene.render.image_settings.file_format = "PNG"
    scene.render.filepath = target
    bpy.ops.render.render(write_still=True)


def main() -> None:
    """Parse, import, draw, render."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source")
    parser.add_argument("target")
    parser.add_argument("--frame", type=int, help="one frame, counted from 0, where it is")
    parser.add_argument("--figures", type=int, default=6)
    parser.add_argument("--metres", action="store_true")
    options = parser.parse_args()
    frames = None if options.frame is None else [options.frame]
    figures = read_figures(options.source, 1.0 if options.metres else 0.01, frames, options.figures)
    if options.frame is None:
        spread(figures)
        center, size = Vector((0.0, 0.0, 0.85)), (1400, 500)
    else:
        root = figures[0][0].head
        center, size = Vector((root.x, root.y, 0.85)), (800, 700)
    draw(figures, center)
    scene = bpy.context.scene
    scene.render.resolution_x, scene.render.resolution_y = size
    light_and_camera(center, len(figures) * STEP_M)
    render(options.target, *size)


main()
