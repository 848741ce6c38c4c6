"""What an adjustment with time costs, and its steps; see ``calibration.timed.bundle``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from calibration.cameras import Cameras
from calibration.lenses.models import open_terms
from calibration.lenses.prior import prior_rows
from calibration.rig.bundle import moved_poses
from calibration.rig.schur import POSE, inverse_of
from calibration.rig.uncertainty import in_common
from calibration.timed.banded import ChainEquations, add_to_band, add_to_rows
from calibration.timed.board_motion import third_differences
from calibration.timed.equations import Late, add_views, late_cost, late_trust, nothing
from calibration.timed.problem import CLOCK, DRIFT, LINE, OFFSET, TimedProblem, TimedState
from calibration.timed.slopes import Stack, beyond_the_knee, corner_errors, linearise_views

_MISSED_SIGMAS = 100.0
"""Price, in standard deviations, of a corner that the camera cannot see."""
_LEAST_FRAMES = 10
"""Frames that must speak for themselves before their time errors are measured."""


class TimedSolver:
    """Costs and steps of one problem with given noise."""

    def __init__(
        self,
        problem: TimedProblem,
        stacks: Sequence[Stack],
        use: Sequence[Tensor],
        sigma: Tensor,
        jitter_s: float,
    ) -> None:
        """Set a problem up.

        Args:
            problem: the problem.
            stacks: its views.
            use: (C, V, K) bool for each stack, corners that count.
            sigma: (C,) factor of the detector's expected standard deviations, by camera.
            jitter_s: standard deviation of the frames' own time errors.
        """
        self.problem, self.use, self.jitter = problem, use, jitter_s
        self.stacks = stacks
        self.sigma = [sigma[stack.rows, None, None] * stack.expected_px for stack in stacks]
        self.free = problem.free.flat()
        self.lens_rows, self.lens_target = prior_rows(problem.start.cameras, problem.options.prior)
        motion, prior = problem.start.motion, problem.prior
        step = motion.step_s**3
        # A turn by an angle moves a unit quaternion by half of it.
        scales = [prior.jerk_m * step] * 3 + [0.5 * prior.jerk_rad * step] * 4
        self.jerk = torch.tensor(scales, dtype=torch.float64)
        self.clock_mean, self.clock_std = _clock_prior(problem)

    def cost(self, state: TimedState) -> float:
        """What a state costs."""
        _ = state.cameras.max_radius2  # for all cameras at once: slices of the batch inherit it
        total = 0.5 * self._lens_left(state).square().sum()
        total = total + 0.5 * ((state.clock - self.clock_mean) / self.clock_std).square().sum()
        total = total + 0.5 * (third_differences(state.motion)[0] / self.jerk).square().sum()
        for stack, use, sigma in zip(self.stacks, self.use, self.sigma, strict=True):
            error = corner_errors(stack, state).norm(dim=-1) / sigma
            total = total + self._huber(error)[use].sum()
        total = total + late_cost(torch.cat(state.late_s), self.jitter).sum()
        if self.problem.still is not None:
            total = total + self.problem.still.cost(state.cameras, state.still)
        return float(total)

    def stepper(self, state: TimedState) -> Callable[[float], TimedState]:
        """The function from a damping factor to the next state."""
        chain, late = self._equations(state)
        still = self.problem.still
        lens = still.equations(state.cameras, state.still) if still is not None else None

        def stepped(damping: float) -> TimedState:
            whole = self._without_late(chain, late, damping)
            if lens is not None:
                whole = lens.added_to(whole, damping, self.problem.free.lens, CLOCK)
            camera, control = whole.solve(damping, self.free)
            moved = self._moved(state, camera, control)
            if self.problem.free.late:
                by_camera = camera.reshape(len(state.cameras), -1)
                steps = [
                    own
                    for stack, one in zip(self.stacks, late, strict=True)
                    for own in stack.cut(one.step(damping, by_camera, control))
                ]
                steps = tuple(old + new for old, new in zip(state.late_s, steps, strict=True))
                moved = replace(moved, late_s=steps)
            if lens is not None:
                columns = camera.reshape(len(state.cameras), -1)[:, :-CLOCK]
                moved = replace(moved, still=moved_poses(state.still, lens.board_steps(damping, columns)))
            return moved

        return stepped

    def covariance(self, state: TimedState) -> Tensor:
        """(C * P, C * P) of the camera parameters, 0 where fixed."""
        chain, still = self._without_late(*self._equations(state), 0.0), self.problem.still
        terms = open_terms(state.cameras, self.problem.free.lens)
        if still is not None:
            chain = still.equations(state.cameras, state.still).added_to(chain, 0.0, terms, CLOCK)
        free = self.problem.free._replace(lens=terms).flat()
        whole = torch.zeros(len(free), len(free), dtype=torch.float64)
        if free.any():
            rows = torch.nonzero(free)[:, 0]
            reduced, _ = chain.reduced(0.0, free)
            whole[rows[:, None], rows] = inverse_of(reduced)
        return in_common(whole, state.cameras)

    def evidence(self, state: TimedState) -> float:
        """Minus the logarithm of how probable is what was seen, frames' times integrated out (Laplace).

        Good for comparing spreads of these times at equal noise of the corners.
        """
        spread = sum(
            float(torch.log(one.curvature * self.jitter**2).sum()) for one in self._equations(state)[1]
        )
        return self.cost(state) + 0.5 * self._own_part() * spread

    def jitter_s(self, state: TimedState) -> float:
        """The spread of the frames' own times that explains those found best.

        MacKay's fixed point: squares found, divided by how many of them the data determine (1992, eq. 4.8).
        """
        total, told = 0.0, 0.0
        for stack, one in zip(self.stacks, self._equations(state)[1], strict=True):
            late_s = stack.padded(state.late_s).flatten()
            trust = late_trust(late_s, self.jitter)
            total += float((trust * late_s.square()).sum())
            told += float((1.0 - trust / (one.curvature * self.jitter**2)).sum())
        prior = self.problem.prior
        told *= self._own_part()
        if told < _LEAST_FRAMES:
            return prior.jitter_s
        return min(max(prior.min_jitter_s, (total / told) ** 0.5), prior.jitter_s)

    def _own_part(self) -> float:
        """Part of the frames' times that is their own: what one instant's share is taken for motion."""
        every = torch.cat([views.frame for views in self.problem.views])
        frames = len(every.unique())
        return 1.0 - frames / max(frames + 1, len(every))

    def _huber(self, error: Tensor) -> Tensor:
        knee = self.problem.options.huber_sigmas
        error = torch.where(torch.isfinite(error), error, _MISSED_SIGMAS)
        return torch.where(error <= knee, 0.5 * error.square(), knee * (error - 0.5 * knee))

    def _lens_left(self, state: TimedState) -> Tensor:
        return (self.lens_rows @ _lens(state.cameras)[..., None])[..., 0] - self.lens_target

    def _without_late(self, chain: ChainEquations, late: Sequence[Late], damping: float) -> ChainEquations:
        """The equations with the frames' own times eliminated, if these are free."""
        if not self.problem.free.late:
            return chain
        less = chain.copy()
        for one in late:
            one.eliminate_from(less, damping)
        return less

    def _equations(self, state: TimedState) -> tuple[ChainEquations, list[Late]]:
        """The normal equations without the frames' own times, and by camera how these hang on the rest."""
        count, width = len(state.cameras), self.free.numel() // len(state.cameras)
        chain, late = nothing(count, width, len(state.motion.place)), list[Late]()
        _ = state.cameras.max_radius2
        for stack, use, sigma in zip(self.stacks, self.use, self.sigma, strict=True):
            at = linearise_views(stack, state)
            size = at.error.norm(dim=-1) / sigma
            knee = self.problem.options.huber_sigmas
            weight = torch.clamp(knee / size.clamp(min=1e-12), max=1.0) / sigma.square()
            weight = torch.where(at.valid & use, weight, 0.0).sqrt()
            at = beyond_the_knee(at, size > knee)
            late.append(add_views(chain, stack, at, weight, stack.padded(state.late_s), self.jitter))
        self._add_priors(chain, state)
        return chain, late

    def _add_priors(self, chain: ChainEquations, state: TimedState) -> None:
        count = len(state.cameras)
        width = self.free.numel() // count
        left, pull = self._lens_left(state), (state.clock - self.clock_mean) / self.clock_std.square()
        for camera in range(count):
            rows = self.lens_rows[camera]
            lens = slice(camera * width + POSE, (camera + 1) * width - CLOCK)
            chain.camera[lens, lens] += rows.mT @ rows
            chain.camera_slope[lens] += rows.mT @ left[camera]
            clock = slice((camera + 1) * width - CLOCK, (camera + 1) * width)
            chain.camera[clock, clock] += torch.diag(1.0 / self.clock_std[camera].square())
            chain.camera_slope[clock] += pull[camera]
        difference, slope = third_differences(state.motion)
        slope = (slope / self.jerk[:, None, None]).flatten(2)
        first = torch.arange(len(slope))
        add_to_band(chain.band, first, slope.mT @ slope)
        add_to_rows(chain.chain_slope, first, (slope.mT @ (difference / self.jerk)[..., None])[..., 0])

    def _moved(self, state: TimedState, camera: Tensor, control: Tensor) -> TimedState:
        step = camera.reshape(len(state.cameras), -1)
        lens = _lens(state.cameras) + step[:, POSE:-CLOCK]
        cameras = state.cameras.with_lenses(lens[:, :2], lens[:, 2:4], lens[:, 4:])
        cameras = cameras.with_poses(moved_poses(cameras.cam_from_world, step[:, :POSE]))
        return replace(
            state,
            cameras=cameras,
            clock=state.clock + step[:, -CLOCK:],
            motion=state.motion.stepped(control),
        )


def _lens(cameras: Cameras) -> Tensor:
    return torch.cat([cameras.focal_px, cameras.center_px, cameras.distortion], -1)


def _clock_prior(problem: TimedProblem) -> tuple[Tensor, Tensor]:
    """(C, 3) mean and standard deviation of the clocks."""
    prior, cameras = problem.prior, problem.start.cameras
    rows = cameras.size_px[:, 1]
    mean = torch.zeros(len(cameras), CLOCK, dtype=torch.float64)
    mean[:, OFFSET] = problem.start.clock[:, OFFSET]
    std = torch.full((len(cameras), CLOCK), prior.offset_s, dtype=torch.float64)
    std[:, DRIFT] = prior.drift
    mean[:, LINE], std[:, LINE] = prior.readout_s[0] / rows, prior.readout_s[1] / rows
    return mean, std
