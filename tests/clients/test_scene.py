"""The script that sets a scene in Blender, run there: characters lie over the footage of them."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from exporters import Character, Plate, Take, blender_scene, export
from mocap.virtual.studio import Studio, small_studio
from rigs.mesh import mesh_of

from .readers import CLIENTS, HERE

pytestmark = pytest.mark.slow

FRAME = 7
LATE_S = 0.1
"""How much later than the motion the clips begin."""


@pytest.fixture(scope="module")
def studio() -> Studio:
    return small_studio(seconds=0.5)


@pytest.fixture(scope="module")
def take(studio: Studio, tmp_path_factory: pytest.TempPathFactory) -> Take:
    """A filmed performance; the motion begins before the clips."""
    folder = tmp_path_factory.mktemp("takes") / "wälk 1"
    folder.mkdir()
    performer, cameras = studio.performers[0], studio.cameras()
    body, betas = performer.load_body(), performer.full_betas()
    times = np.arange(studio.num_frames + 3) / studio.rate_hz - LATE_S
    motion = performer.motion(times, seconds=studio.seconds, rate_hz=studio.rate_hz)
    motion = replace(motion, time_s=times + LATE_S)
    plates = []
    for name in cameras.names:
        clip = folder / f"{name}.mp4"
        list(studio.film_take(name, clip))
        plates.append(Plate(name, clip, studio.rate_hz, LATE_S))
    character = Character("person1", body.skeleton(motion.betas), motion, mesh_of(body, betas))
    return Take("walk", (character,), cameras=cameras, plates=tuple(plates))


def run_in_blender(script: Path, folder: Path) -> dict[str, object]:
    command = [CLIENTS / "bin" / "python", HERE / "render_scene.py", script, FRAME, folder]
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
    assert (folder / "scene.json").exists(), done.stdout[-2000:] + done.stderr[-2000:]
    return json.loads((folder / "scene.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("suffix", [".fbx", ".glb"])
def test_the_character_lies_over_the_footage(suffix: str, take: Take, studio: Studio, tmp_path: Path) -> None:
    folder = take.plates[0].path.parent / f"export{suffix}"
    folder.mkdir()
    files = export(take, folder, format=suffix[1:])  # the cameras travel in it, and must not come twice
    script = folder / "blender_scene.py"
    script.write_bytes(blender_scene(take, files, folder))
    facts = run_in_blender(script, tmp_path)
    assert sorted(facts["cameras"]) == sorted(plate.camera for plate in take.plates)  # type: ignore[call-overload]
    assert facts["rate_hz"] == pytest.approx(studio.rate_hz, rel=1e-6)
    first, last = facts["frames"]  # type: ignore[misc]
    assert last - first + 1 == len(take.characters[0].motion.time_s)
    truth = silhouettes(take)
    for index, plate in enumerate(take.plates):
        found = facts["cameras"][plate.camera]  # type: ignore[index]
        assert [Path(clip).resolve() for clip in found["clips"]] == [plate.path.resolve()]
        assert found["first_frames"] == [first + 3]
        assert found["straightened"] == [True]
        picture = cv2.imread(str(tmp_path / f"{plate.camera}.png"), cv2.IMREAD_UNCHANGED)
        alpha = picture[..., 3] > 127
        # Both edges may be a pixel off: that is how pictures are drawn.
        inner, outer = (
            change(truth[index].astype(np.uint8), np.ones((3, 3))) for change in (cv2.erode, cv2.dilate)
        )
        missing, beyond = (
            ((inner > 0) & ~alpha).sum() / (inner > 0).sum(),
            (alpha & (outer == 0)).sum() / alpha.sum(),
        )
        sheet = compose(plate, picture, take, index)
        cv2.imwrite(str(tmp_path / f"{plate.camera}_over.png"), sheet)
        print(f"{suffix} {plate.camera}: {missing:.3f} missing, {beyond:.3f} beyond, see {tmp_path}")  # noqa: T201 (for people)
        assert max(missing, beyond) < 0.01


def silhouettes(take: Take) -> list[np.ndarray]:
    """Where the posed mesh is seen, by our own projection without distortion."""
    character, cameras = take.characters[0], take.cameras
    from rigs.body import load_body

    body = load_body(character.motion.body)
    motion = character.motion
    now = slice(FRAME, FRAME + 1)
    vertices = body.skin(motion.poses[now], motion.trans[now], motion.betas)[0][0]
    straight = replace(cameras, distortion=torch.zeros_like(cameras.distortion))
    xy_px, _ = straight.project(vertices.double())
    masks = []
    for index, (width, height) in enumerate(cameras.size_px.int().tolist()):
        mask = np.zeros((height, width), np.uint8)
        for face in xy_px[index].numpy()[character.mesh.faces]:
            cv2.fillConvexPoly(mask, np.round(face * 16).astype(np.int32), 1, shift=4)
        masks.append(mask > 0)
    return masks


def compose(plate: Plate, picture: np.ndarray, take: Take, index: int) -> np.ndarray:
    """The straightened footage with the render half over it."""
    reader = cv2.VideoCapture(str(plate.path))
    frame = None
    for _ in range(FRAME - 3 + 1):
        _, frame = reader.read()
    cameras = take.cameras
    (fx, fy), (cx, cy) = cameras.focal_px[index].tolist(), cameras.center_px[index].tolist()
    matrix = np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]])
    flat = cv2.undistort(frame, matrix, cameras.distortion[index].numpy())
    share = 0.6 * picture[..., 3:].astype(float) / 255
    return (flat * (1 - share) + picture[..., :3] * share).astype(np.uint8)
