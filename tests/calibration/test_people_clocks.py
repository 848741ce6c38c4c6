"""Clocks from motion: planted shifts come back; what cannot be told is not told."""

import torch

from calibration.people.clocks import Shift, courses, offsets_from_shifts, pair_shift
from calibration.people.curves import PersonView, grid, sample, smoothed


def _walker(time_s: torch.Tensor, angle: float, seed: int = 0) -> torch.Tensor:
    """(T, K, 2) points that rise and fall in their own ways, as seen from a direction."""
    generator = torch.Generator().manual_seed(seed)
    rate = 1.0 + 4.0 * torch.rand(8, 3, generator=generator, dtype=torch.float64)
    phase = 6.28 * torch.rand(8, 3, generator=generator, dtype=torch.float64)
    swing = (time_s[:, None, None] * rate + phase).sin().cumsum(0) * 0.3
    rest = torch.linspace(-1, 1, 8, dtype=torch.float64)
    x = swing[..., 0] * torch.cos(torch.tensor(angle)) + swing[..., 2] * torch.sin(torch.tensor(angle))
    return 400 + 100 * torch.stack([0.2 * x, rest + 0.2 * swing[..., 1]], -1)


def _view(late_s: float, angle: float, seconds: float = 10.0, seed: int = 0) -> PersonView:
    time = torch.arange(round(seconds * 30), dtype=torch.float64) / 30
    fine = torch.arange(round((seconds + 2) * 300), dtype=torch.float64) / 300
    xy = _walker(fine, angle, seed)
    row = torch.round((time + late_s) * 300).long()
    picked = xy[row][:, None]
    return PersonView(time, picked, torch.full(picked.shape[:3], 2.0, dtype=torch.float64), (800, 800))


def test_a_planted_shift_is_found_between_frames() -> None:
    first, second = _view(0.3, 0.0), _view(0.71, 1.2)
    found = pair_shift(courses(first, 0), courses(second, 0), 1.0, (0, 1))
    assert found is not None
    assert abs(found.lag_s - 0.41) < 0.01 and found.agreement > 0.5 > found.rival


def test_two_people_do_not_agree() -> None:
    found = pair_shift(courses(_view(0.3, 0.0), 0), courses(_view(0.3, 0.0, seed=1), 0), 0.3, (0, 1))
    assert found is None or found.agreement < 0.5


def test_clips_that_hardly_overlap_say_nothing() -> None:
    short = _view(0.0, 0.0, seconds=1.2)
    assert pair_shift(courses(short, 0), courses(short, 0), 0.5, (0, 1)) is None


def test_one_wrong_pair_does_not_bend_the_offsets() -> None:
    true = torch.tensor([0.0, 0.2, -0.3, 0.4], dtype=torch.float64)
    pairs = [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)]
    shifts = [Shift(pair, float(true[pair[1]] - true[pair[0]]), 0.6, 0.1) for pair in pairs]
    shifts[1] = Shift((0, 2), 0.5, 0.6, 0.5)
    offset, left = offsets_from_shifts(shifts, 4)
    assert (offset - true).abs().max() < 0.01
    assert int(left.abs().argmax()) == 1


def test_curves_pass_through_frames_and_differentiate() -> None:
    view = _view(0.0, 0.4)
    at = view.time_s[5:15] + 0.0
    torch.testing.assert_close(sample(view, at).xy_px, view.xy_px[5:15])
    between = (view.time_s[5:15] + 0.013).requires_grad_(True)
    curve = sample(view, between)
    (slope,) = torch.autograd.grad(curve.xy_px[..., 3, 1].sum(), between)
    torch.testing.assert_close(curve.speed_px_s[:, 0, 3, 1].detach(), slope, rtol=1e-10, atol=1e-10)


def test_gaps_and_ends_are_unknown() -> None:
    view = _view(0.0, 0.0)
    keep = torch.ones(len(view.time_s), dtype=torch.bool)
    keep[10:14] = False
    gappy = PersonView(view.time_s[keep], view.xy_px[keep], view.sigma_px[keep], view.size_px)
    at = torch.tensor([-0.01, 0.4, 1.0, 99.0], dtype=torch.float64)
    assert torch.isfinite(sample(gappy, at).xy_px).all(-1).all(-1).all(-1).tolist() == [
        False,
        False,
        True,
        False,
    ]


def test_smoothing_does_not_lag() -> None:
    time = torch.arange(30, dtype=torch.float64) / 30
    straight = (5.0 * time)[:, None, None, None].expand(-1, 1, 3, 2).clone()
    view = PersonView(time, straight, torch.ones(30, 1, 3, dtype=torch.float64), (800, 800))
    torch.testing.assert_close(smoothed(view, 0.1).xy_px, straight)


def test_the_grid_lies_where_two_clips_run() -> None:
    views = [_view(0.0, 0.0), _view(0.0, 0.0)]
    at = grid(views, torch.tensor([0.0, 4.0], dtype=torch.float64), 0.1)
    assert abs(float(at[0]) - 4.1) < 1e-9 and 9.7 < float(at[-1]) < 9.9
