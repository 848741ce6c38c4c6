"""Every check fires on the fault that it is for, and is silent on the good twin."""

import json
import math
import re
from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest
import roma
import torch
from torch import Tensor

from calibration.boards.board import Board
from calibration.boards.detection import BoardView
from calibration.checks.moved_camera import camera_steps
from calibration.checks.table import CHECKS, Case, Check, Footage
from calibration.checks.verdict import check, verdict
from calibration.report.report import calibration_report, calibration_report_html
from calibration.rig.bundle import BundleOptions
from calibration.rig.calibrate import BoardPath, CameraResiduals, RigOptions, calibrate_rig
from calibration.rig.extrinsics import PairAgreement
from calibration.rig.held_out import HeldOut, Repeatability
from calibration.rig.score import CornerErrors
from calibration.rig.synthetic import BoardScene, carried_board, look_at_board, ring_of_cameras
from calibration.timed.clocks import CameraClock

BOARD = Board(columns=5, rows=7, square_m=0.1, marker_m=0.075)
RATE_HZ = 4.0
NAMES = ("cam1", "cam2", "cam3", "cam4")


def seen_by(scene: BoardScene, views: list[BoardView] | None = None) -> dict[str, CameraResiduals]:
    """What the true cameras leave of each view's corners."""
    found: dict[str, CameraResiduals] = {}
    for name in scene.cameras.names:
        own = [view for view in (scene.views if views is None else views) if view.camera == name]
        frame = torch.cat([torch.full_like(view.ids, view.frame) for view in own])
        corner, xy = torch.cat([view.ids for view in own]), torch.cat([view.xy_px for view in own])
        pose = scene.world_from_board[frame]
        xyz = (pose[:, :3, :3] @ BOARD.corners_xyz[corner][..., None])[..., 0] + pose[:, :3, 3]
        error = scene.cameras[[name]].project(xyz)[0][0] - xy
        used = torch.ones(len(frame), dtype=torch.bool)
        found[name] = CameraResiduals(frame, frame / scene.rate_hz, corner, xy, error, used)
    return found


@pytest.fixture(scope="module")
def good() -> Case:
    """A calibration without fault: solved once, then given the truth and the figures of good footage."""
    scene = look_at_board(ring_of_cameras(), BOARD, carried_board(24.0, rate_hz=RATE_HZ), rate_hz=RATE_HZ)
    rig = calibrate_rig(
        scene.views,
        {},
        BOARD,
        size_px=scene.size_px,
        time_s=scene.time_s,
        options=RigOptions(
            clocks=False,
            halves=False,
            choose_lens=False,
            max_frames=96,
            bundle=BundleOptions(tolerance=1e-4, max_iterations=10),
        ),
    )
    frames = [frame for frame in rig.bundle.frames if frame >= 0]
    each = dict.fromkeys(NAMES, 0.3)
    rig = replace(
        rig,
        cameras=scene.cameras,
        path=BoardPath(torch.tensor(frames) / RATE_HZ, scene.world_from_board[frames]),
        residuals=seen_by(scene),
        clocks=dict.fromkeys(NAMES, CameraClock(agreement=0.95, rival=0.4)),
        held_out=HeldOut(0.3, 0.25, 2e-4, 2e-5, 900, 20, each, 0.27),
        repeatability=Repeatability(1e-3, dict.fromkeys(NAMES, 0.03), dict.fromkeys(NAMES, 2.0)),
    )
    marked = {name: len(scene.of(name)) for name in NAMES}
    return Case(rig, Footage(BOARD, scene.views, {}, dict.fromkeys(NAMES, 70), marked), stored=scene.cameras)


def with_rig(case: Case, **changes: object) -> Case:
    return replace(case, rig=replace(case.rig, **changes))


def with_views(case: Case, change: Callable[[BoardView], BoardView | None]) -> Case:
    """Other footage, and the errors that the true cameras then leave."""
    assert case.footage is not None
    views = [new for view in case.footage.views if (new := change(view)) is not None]
    poses = carried_board(24.0, rate_hz=RATE_HZ)
    scene = BoardScene(case.rig.cameras, BOARD, poses, tuple(views), RATE_HZ)
    return replace(with_rig(case, residuals=seen_by(scene)), footage=replace(case.footage, views=views))


def with_cameras(case: Case, **changes: Tensor) -> Case:
    return with_rig(case, cameras=replace(case.rig.cameras, **changes))


def bad_bundle(case: Case, row: int | None, px: float) -> Case:
    """Errors of all cameras, or of one of them, that many pixels larger."""
    error = case.rig.bundle.error_px.clone()
    error[slice(None) if row is None else row] += px
    return with_rig(case, bundle=replace(case.rig.bundle, error_px=error))


def dropped(case: Case) -> Case:
    """A fifth of what camera 2 shares was far off."""
    used, error = case.rig.bundle.used.clone(), case.rig.bundle.error_px.clone()
    used[1, ::5], error[1, ::5] = False, 9.0
    return with_rig(case, bundle=replace(case.rig.bundle, used=used, error_px=error))


def few_frames(case: Case) -> Case:
    return with_rig(case, frames=case.rig.frames[:4])


def held_out(case: Case, **changes: object) -> Case:
    assert case.rig.held_out is not None
    return with_rig(case, held_out=replace(case.rig.held_out, **changes))


def focal_unknown(case: Case) -> Case:
    covariance = case.rig.covariance.clone()
    covariance[2, 6, 6] = (0.02 * 900.0) ** 2
    return with_rig(case, covariance=covariance)


def place_unknown(case: Case) -> Case:
    covariance = case.rig.covariance.clone()
    covariance[2, 2, 2] = 0.15**2
    return with_rig(case, covariance=covariance)


def kicked(view: BoardView) -> BoardView:
    """Camera 3 turns by a quarter of a degree in the middle of the clip."""
    late = view.camera == "cam3" and view.frame > 48
    return replace(view, xy_px=view.xy_px + torch.tensor([3.9, 0.0])) if late else view


def zoomed(view: BoardView) -> BoardView:
    """Camera 3 zooms by 2 % in the middle of the clip."""
    late = view.camera == "cam3" and view.frame > 48
    middle = torch.tensor([644.5, 355.5])
    return replace(view, xy_px=1.02 * (view.xy_px - middle) + middle) if late else view


def copied(case: Case) -> Case:
    """The clip of camera 1 lies under the name of camera 2 too."""
    assert case.footage is not None
    views = [view for view in case.footage.views if view.camera != "cam2"]
    views += [replace(view, camera="cam2") for view in views if view.camera == "cam1"]
    return replace(case, footage=replace(case.footage, views=views))


def stretched(case: Case) -> Case:
    """The print is 3 % longer down than it should be."""
    assert case.footage is not None
    print_ = replace(BOARD)
    object.__setattr__(print_, "corners_xyz", BOARD.corners_xyz * torch.tensor([1.0, 1.03, 1.0]))
    poses = carried_board(24.0, rate_hz=RATE_HZ)
    scene = look_at_board(case.rig.cameras, print_, poses, rate_hz=RATE_HZ)
    return with_rig(case, residuals=seen_by(replace(scene, board=BOARD)))


def without_rest(case: Case) -> Case:
    return with_rig(case, world=replace(case.rig.world, rest=None))


def sunk(case: Case) -> Case:
    """The world lies face down: freemocap's mirrored floor."""
    poses = case.rig.cameras.cam_from_world @ torch.diag(torch.tensor([1.0, -1.0, -1.0, 1.0]).double())
    return with_cameras(case, cam_from_world=poses)


def side_by_side(case: Case) -> Case:
    """All cameras stand where the first one stands."""
    pose = case.rig.cameras.cam_from_world.clone()
    pose[1:] = pose[0]
    pose[:, 0, 3] += torch.arange(4) * 0.02
    return with_cameras(case, cam_from_world=pose)


def never_tilted(case: Case) -> Case:
    poses = case.rig.path.world_from_board.clone()
    poses[:, :3, :3] = poses[0, :3, :3]
    return with_rig(case, path=replace(case.rig.path, world_from_board=poses))


def one_place(case: Case) -> Case:
    """The board never left the middle of the floor."""
    poses = case.rig.path.world_from_board.clone()
    poses[:, :3, 3] = 0.0
    return with_rig(case, path=replace(case.rig.path, world_from_board=poses))


def mirrored(case: Case) -> Case:
    """Camera 3 stands where the boards' second poses put it: turned about its line of sight."""
    pose = case.rig.cameras.cam_from_world.clone()
    boards = pose[2] @ case.rig.path.world_from_board
    half = torch.diag(torch.tensor([-1.0, -1.0, 1.0], dtype=torch.float64))
    turned = boards.clone()
    turned[:, :3, :3] = half @ boards[:, :3, :3] @ half
    assert torch.isfinite(turned).all()
    middle = len(boards) // 2
    pose[2] = turned[middle] @ torch.linalg.inv(case.rig.path.world_from_board[middle])
    return with_cameras(case, cam_from_world=pose)


def blind(case: Case) -> Case:
    """Camera 4 saw the board hardly ever."""
    assert case.footage is not None
    views = [view for view in case.footage.views if view.camera != "cam4" or view.frame % 16 == 0]
    marked = dict.fromkeys(NAMES, 60)
    return replace(case, footage=replace(case.footage, views=views, with_markers=marked))


def one_cell(view: BoardView) -> BoardView | None:
    """Camera 4 saw the board in the middle of its image alone."""
    inside = (view.xy_px - torch.tensor([853.0, 540.0])).abs().amax() < 150.0
    return view if view.camera != "cam4" or inside else None


def swapped_names(case: Case) -> Case:
    assert case.stored is not None
    return replace(case, stored=case.stored.renamed(["cam2", "cam1", "cam3", "cam4"]))


def other_shape(case: Case) -> Case:
    assert case.stored is not None
    size = case.stored.size_px.clone()
    size[1] = torch.tensor([640.0, 480.0])
    return replace(case, stored=replace(case.stored, size_px=size))


def lens_clip(case: Case, zoom: float) -> Case:
    """Camera 1 has a clip of its own, filmed with that zoom."""
    assert case.footage is not None
    camera = case.rig.cameras[["cam1"]]
    generator = torch.Generator().manual_seed(5)
    poses = torch.eye(4, dtype=torch.float64).repeat(40, 1, 1)
    poses[:, :3, :3] = roma.rotvec_to_rotmat(0.5 * torch.randn(40, 3, generator=generator).double())
    spread = torch.rand(40, 3, generator=generator, dtype=torch.float64) - 0.5
    poses[:, :3, 3] = spread * torch.tensor([1.6, 0.9, 0.8]) + torch.tensor([-0.25, -0.35, 1.6])
    lens = replace(camera, focal_px=zoom * camera.focal_px)
    near = look_at_board(lens, BOARD, torch.linalg.inv(camera.cam_from_world[0]) @ poses, seed=7)
    own = replace(case.footage, lens_views={"cam1": list(near.views)})
    return replace(with_rig(case, own_lens_clip=frozenset({"cam1"})), footage=own)


@dataclass(frozen=True)
class Fault:
    check: str
    plant: Callable[[Case], Case]
    grade: str
    says: str


def clock(**changes: float) -> Callable[[Case], Case]:
    def plant(case: Case) -> Case:
        return with_rig(case, clocks={**case.rig.clocks, "cam2": replace(CameraClock(), **changes)})

    return plant


def agreeing(part: float) -> Callable[[Case], Case]:
    return lambda case: with_rig(case, pairs=(PairAgreement(("cam1", "cam2"), 40, part), *case.rig.pairs))


def focal(factor: tuple[float, float]) -> Callable[[Case], Case]:
    return lambda case: with_cameras(case, focal_px=case.rig.cameras.focal_px * torch.tensor(factor))


def center(shift: float) -> Callable[[Case], Case]:
    return lambda case: with_cameras(
        case, center_px=case.rig.cameras.center_px + torch.tensor([shift, 0.0]).double()
    )


FAULTS = [
    Fault("contradiction", lambda case: bad_bundle(case, None, 3.0), "fail", "contradict each other by"),
    Fault(
        "camera_error", lambda case: bad_bundle(case, 2, 1.5), "fail", "camera cam3 contradicts the others"
    ),
    Fault("dropped_corners", dropped, "warn", "of the corners that camera cam2 shares"),
    Fault("shared_frames", few_frames, "fail", "only 4 frames"),
    Fault("held_out_camera", lambda case: held_out(case, camera_px={"cam1": 1.4}), "warn", "cam1 is off by"),
    Fault("too_little_data", lambda case: held_out(case, rigid_px=1.1), "fail", "too little was seen"),
    Fault(
        "repeatability",
        lambda case: with_rig(case, repeatability=Repeatability(0.03, {}, {})),
        "warn",
        "30.0 mm apart",
    ),
    Fault("agreement", agreeing(0.5), "warn", "may not have begun together"),
    Fault(
        "simultaneous",
        lambda case: with_rig(
            case,
            bundle=replace(case.rig.bundle, noise=case.rig.bundle.noise._replace(common=0.8))
            if hasattr(case.rig.bundle.noise, "_replace")
            else replace(case.rig.bundle, noise=replace(case.rig.bundle.noise, common=0.8)),
        ),
        "warn",
        "not simultaneous",
    ),
    Fault("square_pixels", focal((1.0, 1.02)), "warn", "from square"),
    Fault("square_pixels", focal((1.0, 1.05)), "fail", "from square"),
    Fault("lens_center", center(250.0), "fail", "off the middle"),
    Fault(
        "folded_lens",
        lambda case: with_cameras(
            case, distortion=torch.tensor([[-0.9, 0.0, 0.0, 0.0, 0.0]]).double().repeat(4, 1)
        ),
        "fail",
        "folds the image",
    ),
    Fault("focal_length", focal_unknown, "warn", "camera cam3: the focal length is known to 1.9%"),
    Fault("camera_place", place_unknown, "warn", "camera cam3: its place is known to 150 mm"),
    Fault("print_aspect", stretched, "warn", "3.0% longer down than across"),
    Fault("lens_clip", lambda case: lens_clip(case, 1.1), "warn", "its own clip does not fit camera cam1"),
    Fault("stored_lens", swapped_names, "warn", "camera cam1 has the stored lens of camera cam2"),
    Fault("moved_camera", lambda case: with_views(case, kicked), "fail", "camera cam3 turned by 0.2"),
    Fault(
        "moved_camera", lambda case: with_views(case, zoomed), "fail", "camera cam3 changed its zoom by +2"
    ),
    Fault("clock", clock(agreement=0.5), "warn", "cannot be told surely"),
    Fault("clock", clock(agreement=0.9, rival=0.97), "warn", "cannot be told surely"),
    Fault("clock_rate", clock(drift_ppm=1000.0, drift_std_ppm=20.0), "warn", "+1000 ppm"),
    Fault("line_delay", clock(line_delay_s=136e-6, line_delay_std_s=5e-6), "warn", "136 µs a row"),
    Fault("floor", without_rest, "warn", "lay it on the floor"),
    Fault("camera_below_floor", sunk, "fail", "the floor is wrong"),
    Fault("ray_angle", side_by_side, "fail", "under 1 degrees at most"),
    Fault("board_tilts", never_tilted, "fail", "tilt the board"),
    Fault("mirrored_pose", mirrored, "fail", "views of camera cam3 show the board tilted the other way"),
    Fault("volume_coverage", one_place, "warn", "carry the board through the rest of the space"),
    Fault("scale", lambda case: replace(case, measured_m=[(1.94, 2.0)]), "warn", "are 1.940 m here"),
    Fault("square_bias", lambda case: held_out(case, square_bias_m=-8e-4), "warn", "-0.80 mm off"),
    Fault("board_found", blind, "warn", "of 70 images of camera cam4"),
    Fault("board_description", blind, "warn", "columns, rows, dictionary"),
    Fault("image_coverage", lambda case: with_views(case, one_cell), "warn", "image of camera cam4"),
    Fault("duplicate_files", copied, "fail", "cameras cam1 and cam2 see the same picture"),
    Fault("swapped_files", swapped_names, "warn", "cameras cam1 and cam2 stand where"),
    Fault("picture_shape", other_shape, "warn", "640x480 in the stored"),
]


def looked(case: Case, name: str) -> list[Check]:
    """What the check of that name says; some functions make two."""
    source = {
        "held_out_camera": "held_out",
        "too_little_data": "held_out",
        "line_delay": "clock_rate",
        "camera_below_floor": "floor",
        "square_bias": "scale",
        "board_description": "board_found",
    }
    return [found for found in CHECKS[source.get(name, name)](case) if found.name == name]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: f"{fault.check}-{fault.grade}")
def test_a_check_fires_on_its_fault_and_is_silent_on_the_good_twin(good: Case, fault: Fault) -> None:
    twin = lens_clip(good, 1.0) if fault.check == "lens_clip" else good
    twin = replace(twin, measured_m=[(2.004, 2.0)]) if fault.check == "scale" else twin
    before = looked(twin, fault.check)
    assert before
    assert {found.grade for found in before} == {"ok"}, [found for found in before if found.grade != "ok"]
    after = [found for found in looked(fault.plant(good), fault.check) if found.grade != "ok"]
    assert {found.grade for found in after} == {fault.grade}, after
    assert any(fault.says in found.message for found in after), after
    assert all(found.todo and found.reason for found in after)


def test_the_good_twin_is_good(good: Case) -> None:
    """All checks together: nothing but that the scale has no witness."""
    every = [found for look in CHECKS.values() for found in look(good)]
    assert [found for found in every if found.grade != "ok"] == []
    told = verdict(every)
    assert told.usable
    assert told.reasons == told.warnings == ()
    assert {"name", "value", "grade", "reason"} <= told.table()[0].keys()


def test_the_moved_camera_is_dated(good: Case) -> None:
    (found,) = [c for c in looked(with_views(good, kicked), "moved_camera") if c.grade != "ok"]
    said = re.search(r"about ([\d.]+) s", found.text)
    assert said
    # Between 12.25 and 13.25 s no other camera saw the board with it.
    assert 12.0 < float(said.group(1)) < 13.3
    assert found.subject == "cam3"


def test_a_board_at_rest_is_no_camera_that_moved(good: Case) -> None:
    """The corners of a board that lies still are off by the same in each of its many views."""
    assert good.rig.residuals is not None
    whole, rng = good.errors, torch.Generator().manual_seed(3)
    assert whole is not None
    first = whole[whole.frame == whole.frame.min()]
    off = replace(first, error_px=first.error_px + 0.4 * torch.randn(first.error_px.shape, generator=rng))
    frames = range(-40, 0)
    resting = [replace(off, frame=off.frame * 0 + k, time_s=off.time_s * 0 + k / RATE_HZ) for k in frames]
    joined = {name: torch.cat([getattr(part, name) for part in (*resting, whole)]) for name in vars(whole)}
    once = {name: torch.cat([getattr(part, name) for part in (resting[0], whole)]) for name in vars(whole)}
    many, few = (camera_steps(good.rig.cameras, CornerErrors(**columns)) for columns in (joined, once))
    assert [step.score for step in many] == pytest.approx([step.score for step in few], rel=0.05)
    assert max(step.score for step in many) < 50.0


def test_a_late_clock_is_told_and_accounted_for(good: Case) -> None:
    late = clock(offset_s=0.02, std_s=0.001, agreement=0.95)(good)
    (found,) = [one for one in looked(late, "clock") if one.subject == "cam2"]
    assert found.grade == "ok"
    assert "+20.0 ± 1.0 ms" in found.text
    (found,) = [one for one in looked(good, "clock") if one.subject == "cam2"]
    assert found.text == "camera cam2 runs in step"


def test_limits_work_both_ways_and_nan_is_no_fault() -> None:
    grades = [check("x", value, "", "", "", warn=1.0, fail=2.0).grade for value in (0.5, 1.5, 2.5, math.nan)]
    assert grades == ["ok", "warn", "fail", "ok"]
    grades = [
        check("x", value, "", "", "", warn=2.0, fail=1.0, low_is_bad=True).grade for value in (2.5, 1.5, 0.5)
    ]
    assert grades == ["ok", "warn", "fail"]
    told = verdict([check("a", 0.0, "good", "", ""), check("b", 3.0, "bad", "do", "", fail=1.0)])
    assert told.checks[0].name == "b"
    assert told.reasons == ("bad: do",)
    assert not told.usable


def test_the_page_needs_nothing_from_outside_and_says_what_was_found(good: Case) -> None:
    case = without_rest(with_views(good, kicked))
    told = verdict([found for look in CHECKS.values() for found in look(case)])
    page = calibration_report_html(case.rig, told, case.footage, title="<Hall & yard>")
    assert not re.search(r"https?://|<link|src=|@import|url\(", page)
    assert "&lt;Hall &amp; yard&gt;" in page
    assert "must not be trusted" in page
    assert "Camera cam3 turned by 0.2" in page
    assert "Lay it on the floor for a second" in page
    found = re.search(r'id="data">(.*?)</script>', page)
    assert found
    drawn = json.loads(found.group(1))
    assert [camera["name"] for camera in drawn["cameras"]] == list(NAMES)
    assert all(camera["arrows"] for camera in drawn["cameras"])
    assert len(drawn["boards"]) > 20
    center = torch.tensor([camera["center"] for camera in drawn["cameras"]], dtype=torch.float64)
    torch.testing.assert_close(center, good.rig.cameras.centers_world, atol=1e-4, rtol=0)


def test_the_figures_for_programs_are_plain(good: Case) -> None:
    told = verdict([found for look in CHECKS.values() for found in look(good)])
    report = json.loads(json.dumps(calibration_report(good.rig, told, good.footage), allow_nan=False))
    assert report["usable"] is True
    assert report["held_out"]["rigid_px"] == 0.3
    assert len(report["checks"]) == len(told.checks)
    assert "All cameras stood still." in report["good"]
    assert report["places"]["cam2"]["position_m"] == pytest.approx(good.rig.cameras.centers_world[1].tolist())


def test_every_check_is_tested() -> None:
    tested = {fault.check for fault in FAULTS}
    names = {"held_out": {"held_out_camera", "too_little_data"}}
    assert all(tested & names.get(name, {name}) for name in CHECKS)
