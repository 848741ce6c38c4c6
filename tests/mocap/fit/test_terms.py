"""Every term's derivatives, against autodiff and against differences; a checker that is itself checked."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
import roma
import torch
from scipy.spatial.transform import Rotation
from torch import Tensor

from calibration.cameras import Cameras
from mocap.fit.contact_points import contact_points
from mocap.fit.floor_terms import SlipTerm
from mocap.fit.joint_terms import LimitTerm, RestTerm, rest_rad, swing_twist, twist_axis
from mocap.fit.keypoint_term import KeypointTerm
from mocap.fit.motion_terms import AccelerationTerm, SpeedTerm, Steps
from mocap.fit.posed import Posed
from mocap.fit.problem import BorderPrior, Problem, build
from mocap.fit.reprojection_term import Pixels, ReprojectionTerm
from mocap.fit.state import Layout, State
from mocap.fit.terms import Jacobian, Loss, Term
from rigs.body import Body
from rigs.limits import joint_limits

FRAMES = 4
NAMES = (
    "nose",
    "left_ear",
    "left_shoulder",
    "right_wrist",
    "left_hip",
    "right_knee",
    "left_heel",
    "right_index",
)


@dataclass(frozen=True)
class Case:
    """A term at a state."""

    body: Body
    layout: Layout
    state: State
    term: Term

    def posed(self, step: Tensor | None = None) -> Posed:
        state = self.state
        if step is not None:
            pose = step[: FRAMES * self.layout.num_pose].reshape(FRAMES, -1)
            state = self.layout.retract(state, pose, step[FRAMES * self.layout.num_pose :])
        return Posed(self.body, self.layout, state, 0, FRAMES)

    @property
    def size(self) -> int:
        return FRAMES * self.layout.num_pose + self.layout.num_border


def dense(case: Case) -> Tensor:
    """The term's own derivatives as one matrix (residuals, unknowns)."""
    by: Jacobian = case.term.jacobian(case.posed())
    num, groups, size = by.pose[0].shape[:3]
    out = torch.zeros(num, groups, size, case.size, dtype=torch.float64)
    border_at = FRAMES * case.layout.num_pose
    for n in range(num):
        for g in range(groups):
            columns = by.columns if by.columns.dim() == 1 else by.columns[g]
            for shift, part in enumerate(by.pose):
                out[n, g][:, (n + shift) * case.layout.num_pose + columns] += part[n, g]
            if by.border is not None and by.border_columns is not None:
                out[n, g][:, border_at + by.border_columns[g]] += by.border[n, g]
    return out.flatten(0, 2)


def column_name(case: Case, column: int) -> str:
    """What an unknown is, for messages."""
    frame, place = divmod(column, case.layout.num_pose)
    if frame >= FRAMES:
        border = column - FRAMES * case.layout.num_pose
        what = "beta" if border < case.layout.num_betas else "offset"
        return f"border {what} {border}"
    if place < 3:
        return f"frame {frame} trans {'xyz'[place]}"
    joint = case.body.joint_names[case.layout.active[(place - 3) // 3]]
    return f"frame {frame} {joint} {'xyz'[place % 3]}"


def check_jacobian(case: Case) -> None:
    """Compare with autodiff to 1e-8 and with central differences; the failure names the worst column."""
    own = dense(case)
    zero = torch.zeros(case.size, dtype=torch.float64)

    def residual(step: Tensor) -> Tensor:
        return case.term.residual(case.posed(step)).flatten()

    auto = torch.autograd.functional.jacobian(residual, zero)
    assert isinstance(auto, Tensor)
    _compare(case, own, auto, 1e-8, "autodiff")
    random = torch.Generator().manual_seed(2)
    h = 1e-6
    for column in torch.randperm(case.size, generator=random)[:40].tolist():
        step = zero.clone()
        step[column] = h
        # Differences of size h lose half the digits: the truncation h² and the rounding 1e-16 / h balance.
        difference = (residual(step) - residual(-step)) / (2 * h)
        scale = 1 + float(difference.abs().max())
        assert torch.allclose(own[:, column], difference, atol=1e-6 * scale), column_name(case, column)


def _compare(case: Case, own: Tensor, other: Tensor, tolerance: float, what: str) -> None:
    worst = ((own - other).abs() / (1 + other.abs())).max(0).values
    column = int(worst.argmax())
    assert float(worst[column]) < tolerance, (
        f"{what}: {column_name(case, column)} is off by {worst[column]:.2e}"
    )


@pytest.fixture(scope="module")
def layout(body: Body) -> Layout:
    joints = [joint for joint, name in enumerate(body.joint_names) if not name.endswith("hand")]
    return Layout(tuple(joints), len(body.parents), body.num_betas, len(NAMES))


@pytest.fixture(scope="module")
def state(body: Body, layout: Layout) -> State:
    random = np.random.default_rng(3)
    turns = Rotation.from_rotvec(random.normal(0, 0.5, (FRAMES * len(body.parents), 3)))
    quat = torch.from_numpy(turns.as_quat()).reshape(FRAMES, -1, 4)
    quat[0, 3] = torch.tensor([0.0, 0.0, 0.0, 1.0])  # exactly at rest, where series take over
    quat[1, 4] = -quat[1, 4]  # the same turn with the other sign
    trans = torch.from_numpy(random.normal(size=(FRAMES, 3)) * 0.1)
    trans[:, 2] += 0.85
    betas = torch.from_numpy(random.normal(size=layout.num_betas))
    return State(quat, trans, betas, torch.from_numpy(random.normal(0, 0.02, (len(NAMES), 3))))


def cameras() -> Cameras:
    """Two lenses that bend, one of them a fisheye, in front of the stage."""
    poses = torch.eye(4, dtype=torch.float64).repeat(2, 1, 1)
    for index, angle in enumerate((0.2, 1.3)):
        turn = Rotation.from_euler("x", 90, degrees=True) * Rotation.from_euler("z", angle)
        poses[index, :3, :3] = torch.from_numpy(turn.as_matrix())
        poses[index, :3, 3] = torch.tensor([0.1, 0.5, 5.0])
    pair = torch.ones(2, 1, dtype=torch.float64)
    lens = torch.tensor([[-0.1, 0.02, 1e-3, -1e-3], [0.03, -0.01, 0.0, 0.0]], dtype=torch.float64)
    return Cameras(
        ("one", "two"), pair * torch.tensor([1280.0, 720.0]).double(), 900 * torch.ones(2, 2).double(),
        pair * torch.tensor([640.0, 360.0]).double(), lens, poses, ("pinhole", "fisheye"),
    )  # fmt: skip


def make_term(name: str, body: Body, layout: Layout) -> Term:
    """Each kind of term, with arbitrary data."""
    random = np.random.default_rng(4)
    steps = Steps(torch.tensor([0.03, 0.05, 0.04], dtype=torch.float64), torch.tensor([True, True, True]))
    jointed = [joint for joint in layout.active if joint > 0]
    names = [body.joint_names[joint] for joint in jointed]
    sd = torch.from_numpy(random.uniform(1, 2, 1 + len(layout.active)))
    by_axis = torch.from_numpy(random.uniform(1, 2, (1 + len(layout.active), 3)))
    standing = contact_points(body)
    assert standing is not None
    stands = torch.from_numpy(random.uniform(size=(FRAMES, len(standing.model.names))))
    if name == "keypoints":
        xyz = torch.from_numpy(random.normal(size=(FRAMES, len(NAMES), 3)))
        xyz[1, 2] = torch.nan
        root = torch.from_numpy(random.normal(0, 0.02, (FRAMES, len(NAMES), 3, 3)))
        covariance = root @ root.mT + 1e-4 * torch.eye(3, dtype=torch.float64)
        return KeypointTerm(body.detector_model(NAMES), xyz, covariance, Loss())
    if name == "pixels":
        seen = torch.from_numpy(random.uniform(200, 600, (FRAMES, 2, len(NAMES), 2)))
        seen[2, 1, 3] = torch.nan
        sigma = torch.from_numpy(random.uniform(2, 9, (FRAMES, 2, len(NAMES))))
        weight, bias = torch.from_numpy(random.uniform(0.2, 1, (2, len(NAMES)))), torch.ones(2, len(NAMES))
        bias_px = torch.from_numpy(random.normal(0, 2, (2, len(NAMES), 2)))
        pixels = Pixels(seen, sigma, weight, bias)
        return ReprojectionTerm(body.detector_model(NAMES), cameras(), pixels, tail=3.0, bias_px=bias_px)
    if name == "limits":
        lower, upper = joint_limits(names)
        walls = (lower * 0.1, upper * 0.1)  # tight, so that most are broken
        return LimitTerm(layout, jointed, [twist_axis(joint) for joint in names], walls, 0.05, Loss())
    return {
        "rest": lambda: RestTerm(layout, jointed, *rest_rad(names), Loss()),
        "acceleration": lambda: AccelerationTerm(layout, steps, by_axis, Loss()),
        "speed": lambda: SpeedTerm(layout, steps, sd, Loss()),
        "slip": lambda: SlipTerm(standing.model, stands, steps, 0.03 * standing.looseness),
    }[name]()


@pytest.mark.parametrize("name", ["keypoints", "pixels", "rest", "limits", "acceleration", "speed", "slip"])
def test_jacobian(name: str, body: Body, layout: Layout, state: State) -> None:
    check_jacobian(Case(body, layout, state, make_term(name, body, layout)))


@pytest.mark.parametrize("name", ["keypoints", "pixels", "slip"])
@pytest.mark.parametrize("solved_for", ["shape", "nothing"])
def test_jacobian_where_the_border_is_known(
    name: str, solved_for: str, body: Body, layout: Layout, state: State
) -> None:
    smaller = replace(layout, num_keypoints=0, num_betas=layout.num_betas if solved_for == "shape" else 0)
    check_jacobian(Case(body, smaller, state, make_term(name, body, smaller)))


@pytest.mark.parametrize("name", ["keypoints", "pixels"])
def test_what_points_pass_on_is_all_that_their_residuals_say(
    name: str, body: Body, layout: Layout, state: State
) -> None:
    """Reduced to three numbers a keypoint, the equations are those of every single residual."""
    term = make_term(name, body, layout)
    case = Case(body, layout, state, term)
    none = BorderPrior(torch.zeros(layout.num_border).double(), torch.zeros(layout.num_border).double())
    reduced = build(Problem(body, layout, (term,), none), state)
    residual = term.residual(case.posed())
    squared = (residual * residual).sum(-1)
    share = term._share.flatten() if isinstance(term, ReprojectionTerm) else 1.0
    weight = (term.loss.weight(squared, residual.shape[-1]) * share)[..., None]
    by = dense(case)
    gradient = by.T @ (residual * weight).flatten()
    full = by.T @ (by * weight.expand_as(residual).flatten()[:, None])
    inner, pose = FRAMES * layout.num_pose, layout.num_pose
    scale = float(full.abs().max())
    assert torch.allclose(reduced.gradient[:FRAMES].flatten(), gradient[:inner], atol=1e-9 * scale)
    assert torch.allclose(reduced.border_gradient, gradient[inner:], atol=1e-9 * scale)
    assert torch.allclose(reduced.corner, full[inner:, inner:], atol=1e-9 * scale)
    for frame in range(FRAMES):
        rows = slice(frame * pose, (frame + 1) * pose)
        assert torch.allclose(reduced.bands[0][frame], full[rows, rows], atol=1e-9 * scale)
        assert torch.allclose(reduced.border[frame], full[rows, inner:], atol=1e-9 * scale)
    cost = 0.5 * (term.loss.value(squared, residual.shape[-1]) * share).sum()
    assert reduced.costs[term.name] == pytest.approx(float(cost))


def test_the_checker_names_a_wrong_column(body: Body, layout: Layout, state: State) -> None:
    term = make_term("rest", body, layout)

    class Wrong:
        name, span, loss = term.name, term.span, term.loss
        residual = staticmethod(term.residual)

        @staticmethod
        def jacobian(posed: Posed) -> Jacobian:
            by = term.jacobian(posed)
            pose = by.pose[0].clone()
            pose[2, 3, :, 1] *= -1
            return by._replace(pose=(pose,))

    joint = body.joint_names[layout.active[4]]
    with pytest.raises(AssertionError, match=f"frame 2 {joint} y"):
        check_jacobian(Case(body, layout, state, Wrong()))


@pytest.mark.parametrize("size", [1e-9, 1e-4, 0.3, 2.0])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_swing_and_twist_put_together_give_the_turn(size: float, axis: int) -> None:
    turns = Rotation.from_rotvec(np.random.default_rng(1).normal(0, size, (20, 3)))
    order = torch.tensor([[axis, (axis + 1) % 3, (axis + 2) % 3]])
    angle = swing_twist(torch.from_numpy(turns.as_quat())[:, None], order).angle[:, 0].numpy()
    twist, swing = np.zeros((20, 3)), np.zeros((20, 3))
    twist[:, axis] = angle[:, 0]
    swing[:, (axis + 1) % 3], swing[:, (axis + 2) % 3] = angle[:, 1], angle[:, 2]
    again = Rotation.from_rotvec(swing) * Rotation.from_rotvec(twist)
    assert (again.inv() * turns).magnitude().max() < 1e-9 + 1e-7 * size


def test_joints_are_free_inside_their_range_and_pushed_outside(
    body: Body, layout: Layout, state: State
) -> None:
    names = [body.joint_names[joint] for joint in layout.active if joint > 0]
    joints = [joint for joint in layout.active if joint > 0]
    term = LimitTerm(layout, joints, [twist_axis(n) for n in names], joint_limits(names), 0.05, Loss())
    knee = names.index("left_knee")

    def residual(bend_deg: float) -> Tensor:
        quat = torch.zeros_like(state.quat_xyzw)
        quat[..., 3] = 1.0
        bend = torch.tensor([np.radians(bend_deg), 0.0, 0.0], dtype=torch.float64)
        quat[:, body.joint_names.index("left_knee")] = roma.rotvec_to_unitquat(bend)
        posed = Posed(body, layout, State(quat, state.trans, state.betas, state.offsets), 0, FRAMES)
        return term.residual(posed)[0, knee]

    assert float(residual(90).abs().max()) == 0.0
    # the knee's flexion is the second part: its twist axis y comes first, then z, then x
    assert residual(-20).tolist() == pytest.approx([0.0, 0.0, np.radians(-20) / 0.05])


def test_a_missing_keypoint_weighs_nothing(body: Body, layout: Layout, state: State) -> None:
    term = make_term("keypoints", body, layout)
    posed = Posed(body, layout, state, 0, FRAMES)
    assert float(term.residual(posed)[1, 2].abs().max()) == 0.0
    assert float(term.jacobian(posed).pose[0][1, 2].abs().max()) == 0.0


@pytest.mark.parametrize("loss", [Loss(), Loss(0.25), Loss(0.25, 3.0)])
def test_the_weight_of_a_loss_is_its_slope(loss: Loss) -> None:
    squared = torch.linspace(0.0, 50.0, 20, dtype=torch.float64, requires_grad=True)
    slope = (
        torch.autograd.grad(loss.value(squared, 3).sum(), squared)[0]
        if loss.nu
        else torch.full((20,), loss.scale)
    )
    assert torch.allclose(slope.double(), loss.weight(squared, 3), atol=1e-12)


def test_the_cost_of_a_motion_does_not_depend_on_the_frame_rate(body: Body) -> None:
    layout = Layout((0,), len(body.parents), body.num_betas, 0)
    costs: list[float] = []
    for rate in (30, 120):
        time_s = torch.arange(2 * rate, dtype=torch.float64) / rate
        steps = Steps(torch.diff(time_s), torch.ones(len(time_s) - 1, dtype=torch.bool))
        term = AccelerationTerm(layout, steps, torch.ones(2, 3, dtype=torch.float64), Loss())
        quat = torch.zeros(len(time_s), len(body.parents), 4, dtype=torch.float64)
        quat[..., 3] = 1.0
        empty = torch.zeros(0, 3, dtype=torch.float64)
        state = State(
            quat,
            torch.stack([torch.sin(3 * time_s), 0 * time_s, torch.cos(2 * time_s)], -1),
            torch.zeros(body.num_betas).double(),
            empty,
        )
        costs.append(float((term.residual(Posed(body, layout, state, 0, len(time_s))) ** 2).sum()))
    assert costs[1] == pytest.approx(costs[0], rel=0.05)
