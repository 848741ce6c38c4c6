"""The solve of a small fit against a dense one by scipy."""

import numpy as np
import pytest
import torch
from scipy.optimize import least_squares

from mocap.fit.assemble import Observations, keypoints_on_body, make_problem
from mocap.fit.motion_terms import Steps
from mocap.fit.posed import Posed
from mocap.fit.problem import FitError, Problem, add_prior, build, costs
from mocap.fit.solver import solve
from mocap.fit.state import Layout, State
from mocap.settings import FitSettings
from rigs.body import Body

FRAMES = 3
NAMES = ("left_hip", "right_hip", "left_knee", "left_ankle", "left_shoulder", "right_shoulder")


@pytest.fixture
def small(body: Body, make_truth) -> tuple[Problem, State]:
    """Three frames, four joints, free offsets, Gaussian noise."""
    truth = make_truth(FRAMES, names=NAMES, keypoint_set="coco17", noise_m=0.01)
    points, _ = keypoints_on_body(body, NAMES)
    joints = tuple(body.joint_names.index(name) for name in ("pelvis", "left_hip", "spine1", "left_knee"))
    layout = Layout(joints, len(body.parents), body.num_betas, len(NAMES))
    time_s = torch.from_numpy(truth.points.time_s)
    steps = Steps(torch.diff(time_s), torch.ones(FRAMES - 1, dtype=torch.bool))
    xyz, covariance = (torch.from_numpy(a[:, 0]) for a in (truth.points.xyz_world, truth.points.covariance))
    problem = make_problem(body, layout, Observations(points, xyz, covariance, steps), FitSettings(tail=0.0))
    quat = torch.zeros(FRAMES, len(body.parents), 4, dtype=torch.float64)
    quat[..., 3] = 1.0
    quat[:, 0] = torch.tensor([np.sin(np.pi / 4), 0, 0, np.cos(np.pi / 4)])
    trans = torch.from_numpy(truth.trans)
    return problem, State(
        quat, trans, torch.zeros(body.num_betas).double(), torch.zeros(len(NAMES), 3).double()
    )


def test_it_ends_where_scipy_ends(small: tuple[Problem, State]) -> None:
    problem, start = small
    layout = problem.layout
    inner = FRAMES * layout.num_pose

    def residuals(step: np.ndarray) -> np.ndarray:
        at = torch.from_numpy(step)
        state = layout.retract(start, at[:inner].reshape(FRAMES, -1), at[inner:])
        posed = Posed(problem.body, layout, state, 0, FRAMES)
        parts = [term.residual(posed).flatten() * term.loss.scale**0.5 for term in problem.terms]
        off = (layout.border(state) - problem.prior.mean) / problem.prior.sd
        return torch.cat([*parts, off]).numpy()

    dense = least_squares(
        residuals, np.zeros(inner + layout.num_border), method="trf", xtol=1e-10, ftol=1e-12
    )
    own = solve(problem, start, max_iterations=50)
    assert own.cost[0] == pytest.approx(0.5 * float((residuals(np.zeros(len(dense.x))) ** 2).sum()))
    assert own.cost[-1] == pytest.approx(dense.cost, rel=1e-4)
    at = torch.from_numpy(dense.x)
    theirs = layout.retract(start, at[:inner].reshape(FRAMES, -1), at[inner:])
    places = [Posed(problem.body, layout, s, 0, FRAMES).xyz_joint for s in (own.state, theirs)]
    assert float((places[0] - places[1]).abs().max()) < 5e-4


def test_the_cost_never_rises(small: tuple[Problem, State]) -> None:
    problem, start = small
    solution = solve(problem, start, max_iterations=20)
    assert np.all(np.diff(solution.cost) <= 0)
    assert solution.why_stopped == "converged"
    # the last step is taken on the promise of the equations: what it gains is next to nothing
    assert sum(solution.cost_by_term.values()) == pytest.approx(solution.cost[-2])
    assert sum(costs(problem, solution.state).values()) == pytest.approx(solution.cost[-1], rel=1e-5)


def test_the_gradient_is_the_slope_of_the_cost(small: tuple[Problem, State]) -> None:
    problem, start = small
    equations, h = build(problem, start), 1e-6
    add_prior(problem, start, equations.corner, equations.border_gradient)
    pose = torch.zeros(FRAMES, problem.layout.num_pose, dtype=torch.float64)
    border = torch.zeros(problem.layout.num_border, dtype=torch.float64)
    for frame, column in ((0, 1), (1, 4), (2, 8), (2, 13)):
        pose.zero_()[frame, column] = h
        slope = (_cost(problem, start, pose, border) - _cost(problem, start, -pose, border)) / (2 * h)
        assert float(equations.gradient[frame, column]) == pytest.approx(slope, rel=1e-5, abs=1e-4)
    for column in (0, 7, 20):
        border.zero_()[column] = h
        slope = (_cost(problem, start, 0 * pose, border) - _cost(problem, start, 0 * pose, -border)) / (2 * h)
        assert float(equations.border_gradient[column]) == pytest.approx(slope, rel=1e-5, abs=1e-4)


def _cost(problem: Problem, start: State, pose: torch.Tensor, border: torch.Tensor) -> float:
    return sum(costs(problem, problem.layout.retract(start, pose, border)).values())


def test_a_broken_frame_is_named(small: tuple[Problem, State]) -> None:
    problem, start = small
    start.trans[1, 0] = torch.inf
    with pytest.raises(FitError, match=r"'keypoints' is not finite at frame 1"):
        solve(problem, start, max_iterations=5)
