"""What the floor costs, against numbers made by hand and by differences."""

import numpy as np
import pytest
import torch

from mocap.fit.contact import Contacts
from mocap.fit.contact_points import contact_points
from mocap.fit.floor_terms import FloorTerm, SlipTerm, floor_terms
from mocap.fit.motion_terms import Steps
from mocap.fit.posed import Posed
from mocap.fit.state import Layout, State
from rigs.body import Body

FRAMES = 5


def standing_state(body: Body, height_m: float = 0.0, speed_m_s: float = 0.0) -> State:
    """Upright at rest, soles at a height, sliding along x; 30 frames a second."""
    quat = torch.zeros(FRAMES, len(body.parents), 4, dtype=torch.float64)
    quat[..., 3] = 1.0
    quat[:, 0] = torch.tensor([np.sqrt(0.5), 0, 0, np.sqrt(0.5)])
    trans = torch.zeros(FRAMES, 3, dtype=torch.float64)
    trans[:, 2] = height_m - float(body.v_template[:, 1].min())
    trans[:, 0] = speed_m_s * torch.arange(FRAMES) / 30
    return State(quat, trans, torch.zeros(body.num_betas).double(), torch.zeros(0, 3).double())


@pytest.fixture
def layout(body: Body) -> Layout:
    return Layout(tuple(range(len(body.parents))), len(body.parents), body.num_betas, 0)


def posed(body: Body, layout: Layout, state: State) -> Posed:
    return Posed(body, layout, state, 0, FRAMES)


def test_slope_and_bend_of_the_floor_are_those_of_its_cost(body: Body, layout: Layout) -> None:
    standing = contact_points(body)
    assert standing is not None
    model, count = standing.model, len(standing.model.names)
    random = np.random.default_rng(0)
    parts = [torch.from_numpy(random.uniform(size=(FRAMES, count))) for _ in range(2)]
    sd = torch.full((count,), 0.004).double()
    for height in (-0.003, 0.002):
        state = standing_state(body, height)
        term = FloorTerm(model, 0.01 * parts[0], parts[1], standing.clearance_m, sd, 0.5)
        near = term.quadratic(posed(body, layout, state))

        def cost(shift: float, state: State = state, term: FloorTerm = term) -> torch.Tensor:
            moved = State(
                state.quat_xyzw, state.trans + torch.tensor([0.0, 0, shift]), state.betas, state.offsets
            )
            return term.quadratic(posed(body, layout, moved)).cost

        slope = (cost(1e-6) - cost(-1e-6)) / 2e-6
        assert torch.allclose(near.gradient[..., 2].sum(-1), slope, rtol=1e-4, atol=1e-4)
        assert float(near.gradient[..., :2].abs().max()) == 0.0
        assert bool((near.information[..., 2, 2] >= 0).all())


def test_what_stands_right_costs_nothing_and_floating_sinking_and_sliding_do(
    body: Body, layout: Layout
) -> None:
    standing = contact_points(body)
    assert standing is not None
    steps = Steps(torch.full((FRAMES - 1,), 1 / 30).double(), torch.ones(FRAMES - 1, dtype=torch.bool))

    def cost(probability: float, *where: float) -> list[float]:
        stands = np.zeros((FRAMES, len(standing.model.names)))
        stands[:, standing.is_sole.numpy()] = probability
        contacts = Contacts(stands, np.zeros_like(stands), 0.05, 0.0)
        at = posed(body, layout, standing_state(body, *where))
        floor, slip = floor_terms(standing, contacts, steps, torch.zeros(len(standing.model.names)).double())
        assert isinstance(floor, FloorTerm) and isinstance(slip, SlipTerm)
        squared = (slip.residual(at) ** 2).sum(-1)
        return [float(floor.quadratic(at).cost.sum()), float(slip.loss.value(squared, 2).sum())]

    assert cost(1.0, 0.0, 0.0) == pytest.approx([0, 0], abs=0.1)
    assert cost(1.0, 0.02, 0.0)[0] > 10
    assert cost(0.0, 0.02, 0.0)[0] == 0
    assert cost(0.0, -0.02, 0.0)[0] > 10
    assert cost(1.0, 0.0, 0.2)[1] > 10
    assert cost(0.0, 0.0, 0.2)[1] == 0


def test_points_that_neither_stand_nor_sink_cost_no_time(body: Body) -> None:
    standing = contact_points(body)
    assert standing is not None
    steps = Steps(torch.full((FRAMES - 1,), 1 / 30).double(), torch.ones(FRAMES - 1, dtype=torch.bool))
    count = len(standing.model.names)
    contacts = Contacts(np.zeros((FRAMES, count)), np.zeros((FRAMES, count)), 0.05, 0.0)
    assert floor_terms(standing, contacts, steps, torch.ones(count).double()) == []
    low = torch.ones(count).double()
    low[0] = -0.01
    floor, _ = floor_terms(standing, contacts, steps, low)
    assert isinstance(floor, FloorTerm) and floor.support.shape[1] == 1
