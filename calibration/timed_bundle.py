"""Bundle adjustment with time in it: cameras that look at a moving board whenever they like.

The board moves along one smooth path (``calibration.board_motion``); each camera has a clock of its own
that is constantly off and drifts, each of its frames is a little early or late besides, and each row of an
image is later than the row above it. Minimises, over cameras, lenses, clocks, line delays, frame times and
the path,

    sum_i huber(|project(camera, path(time_i) corner_i) - xy_i| / sigma_i) + sum_v (late_v / jitter)² / 2
    + priors of lenses, drifts and line delays + third differences of the path

by Levenberg-Marquardt. A frame's time touches one view only and is eliminated first, then the path, whose
matrix is a band (``calibration.banded``); what is left is as large as the cameras are many. Constant delays
and line delays without the frames' own errors come out as nonsense on real webcams: they go together.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import torch
from torch import Tensor

from .banded import ChainEquations, add_to_band, add_to_rows
from .board_motion import SPAN, BoardMotion, carry, carry_jacobian, third_differences
from .bundle import BundleOptions, moved_poses
from .cameras import Cameras
from .lens_prior import prior_rows
from .levenberg import descend
from .schur import POSE, inverse_of
from .still_views import StillViews
from .timed_views import CameraViews

OFFSET, DRIFT, LINE = 0, 1, 2
"""Columns of a camera's clock: seconds, seconds per second, seconds per row."""
CLOCK = 3
"""Parameters of a camera's clock."""
_MISSED_SIGMAS = 100.0
"""Price, in standard deviations, of a corner that the camera cannot see."""
_ROUNDS, _REJECT_FROM = 4, 2
"""Rounds, and the first that leaves out corners that fit badly."""
_ROUGH = 1e3
"""How much earlier than the last round the others end, in tolerances."""
_LEAST = {False: 0.5, True: 0.03}
"""Decrease of the cost that ends a round, the last one or another: half of squared standard deviations."""
_LEAST_FRAMES = 10
"""Frames that must speak for themselves before their time errors are measured."""
_LATE_VIEW = 10.0
"""Times the limit for outliers that all corners of a view together may be off."""
_RADIAL = 0.4
"""Part of a derivative that is kept along an error beyond the knee of the robust loss. The loss rises evenly
there: it has no curvature along the error and all of it across, and steps that know are twice as long."""


@dataclass(frozen=True)
class TimePrior:
    """What is known of clocks, shutters and hands before any image; standard deviations."""

    jitter_s: float = 0.020
    """Time error of a single frame at first; measured and lowered after each round. 10 to 40 ms do equally
    well on real webcams, 5 ms is too tight."""
    min_jitter_s: float = 2e-4
    """Frames are never trusted to be more punctual than this."""
    offset_s: float = 1.0
    """Constant delay from where it starts: nothing, unless the board never moved."""
    drift: float = 1e-4
    """Quartz clocks differ by less than 100 parts of a million."""
    readout_s: tuple[float, float] = (0.02, 0.02)
    """Time from the first row to the last: mean and standard deviation over ordinary cameras, 30 µs a row
    at 720 rows."""
    jerk_m: float = 100.0
    """Third derivative of the board's place, metres per second cubed: bridges gaps, bends nothing."""
    jerk_rad: float = 400.0
    """The same of its rotation, radians per second cubed."""


class Free(NamedTuple):
    """What may change."""

    pose: Tensor
    """(C,) bool, cameras that may move."""
    lens: Tensor
    """(C, 4 + D) bool"""
    clock: Tensor
    """(C, 3) bool: offset, drift, line delay."""
    late: bool = True
    """Frames have time errors of their own."""

    def flat(self) -> Tensor:
        """(C * P,) bool in the order of the normal equations."""
        return torch.cat([self.pose[:, None].expand(-1, POSE), self.lens, self.clock], 1).flatten()


@dataclass(frozen=True)
class TimedState:
    """Everything that is adjusted."""

    cameras: Cameras
    """Lenses and poses."""
    motion: BoardMotion
    """The board's path in rig time."""
    clock: Tensor
    """(C, 3) offset in seconds, drift in seconds per second, line delay in seconds per row."""
    late_s: tuple[Tensor, ...]
    """(V,) by camera: what each view is late besides."""
    still: Tensor
    """(S, 4, 4) cam_from_board of views that are not on the path, metres."""


@dataclass(frozen=True)
class TimedProblem:
    """What is adjusted, from where, and what stays."""

    views: tuple[CameraViews, ...]
    """What each camera saw of the moving board."""
    start: TimedState
    """Where to begin."""
    free: Free
    """What may change."""
    still: StillViews | None = None
    """Views of lens clips, each with a board pose of its own."""
    options: BundleOptions = field(default_factory=BundleOptions)
    """How."""
    prior: TimePrior = field(default_factory=TimePrior)
    """What is known of time."""


@dataclass(frozen=True)
class TimedBundle:
    """The adjusted state, and how well it explains what was seen."""

    state: TimedState
    """Cameras, clocks and path."""
    error_px: tuple[Tensor, ...]
    """(V, K, 2) by camera: reprojected minus seen; NaN in the padding and where it cannot be seen."""
    used: tuple[Tensor, ...]
    """(V, K) bool by camera, corners that were not dropped."""
    sigma_px: Tensor
    """(C,) factor of the detector's expected standard deviations, by camera."""
    jitter_s: float
    """Standard deviation of the frames' own time errors."""
    covariance: Tensor
    """(C * P, C * P) of poses, lenses and clocks, camera by camera; 0 where fixed."""
    still_error_px: Tensor
    """(S, K, 2) errors in the lens clips."""
    steps: int
    """Steps taken in all rounds."""
    converged: bool
    """Whether the last round ended because nothing was left to gain."""

    def rms_px(self, camera: int | None = None) -> float:
        """Root mean square length of the errors of the used corners, of one camera or of all."""
        rows = range(len(self.error_px)) if camera is None else [camera]
        some = [self.error_px[row][self.used[row]] for row in rows]
        every = torch.cat(some)
        return float(every.square().sum(-1).mean().sqrt()) if len(every) else float("nan")


def adjust_timed(problem: TimedProblem) -> TimedBundle:
    """Solve in rounds, each with the noise that the one before it showed; outliers leave after the second.

    Deterministic.
    """
    state, options = problem.start, problem.options
    use = tuple(views.seen for views in problem.views)
    jitter_s = problem.prior.jitter_s
    sigma = _noise(problem, state, use)
    solver = _Solver(problem, use, sigma, jitter_s)
    steps, converged = 0, False
    for round_ in range(_ROUNDS):
        last = round_ == _ROUNDS - 1
        if round_ >= _REJECT_FROM:
            use = _fitting(problem, state, sigma)
        solver = _Solver(problem, use, sigma, jitter_s)
        state, descent = descend(
            state,
            solver.cost,
            solver.stepper,
            tolerance=options.tolerance * (1.0 if last else _ROUGH),
            max_steps=options.max_iterations,
            least=_LEAST[last],
        )
        steps, converged = steps + descent.steps, descent.converged
        sigma = _noise(problem, state, use)
        if problem.free.late:
            jitter_s = solver.jitter_s(state)
    final = _Solver(problem, use, sigma, jitter_s)
    error = tuple(corner_errors(problem.views[c], state, c) for c in range(len(state.cameras)))
    return TimedBundle(
        state=state,
        error_px=error,
        used=tuple(u & torch.isfinite(e).all(-1) for u, e in zip(use, error, strict=True)),
        sigma_px=sigma,
        jitter_s=jitter_s if problem.free.late else 0.0,
        covariance=final.covariance(state),
        still_error_px=_still_errors(problem, state),
        steps=steps,
        converged=converged,
    )


def rig_times(views: CameraViews, state: TimedState, camera: int) -> Tensor:
    """(V,) rig time of the middle row of every view, seconds."""
    clock = state.clock[camera]
    return views.own_s + clock[OFFSET] + clock[DRIFT] * (views.own_s - views.middle_s) + state.late_s[camera]


def corner_errors(views: CameraViews, state: TimedState, camera: int) -> Tensor:
    """(V, K, 2) reprojected minus seen, pixels; NaN in the padding and where it cannot be seen."""
    interval, part = _when(views, state, camera)
    xyz = carry(state.motion, interval, part, views.xyz_board.flatten(0, 1))
    xy = state.cameras[camera : camera + 1].project_each(xyz[None])[0][0]
    return xy.reshape(views.xy_px.shape) - views.xy_px


def _when(views: CameraViews, state: TimedState, camera: int) -> tuple[Tensor, Tensor]:
    """(V * K,) interval and part of every corner: all corners of a view are reckoned from one interval."""
    interval, part = state.motion.at(rig_times(views, state, camera))
    part = part[:, None] + state.clock[camera, LINE] / state.motion.step_s * views.rows_below
    return interval[:, None].expand(part.shape).flatten(), part.flatten()


class ViewSlopes(NamedTuple):
    """Errors of one camera's corners and their derivatives."""

    error: Tensor
    """(V, K, 2) 0 where not valid."""
    valid: Tensor
    """(V, K)"""
    d_camera: Tensor
    """(V, K, 2, 6 + 4 + D + 3) by pose, lens and clock."""
    d_control: Tensor
    """(V, K, 2, 24) by the four control points from ``interval`` on."""
    d_late: Tensor
    """(V, K, 2) by the view's own time error."""
    interval: Tensor
    """(V,)"""


def linearise_views(views: CameraViews, state: TimedState, camera: int) -> ViewSlopes:
    """Errors and closed-form derivatives of one camera's views."""
    interval, part = _when(views, state, camera)
    carried = carry_jacobian(state.motion, interval, part, views.xyz_board.flatten(0, 1))
    at = state.cameras[camera : camera + 1].jacobian_each(carried.xyz_world[None])
    shape = views.xy_px.shape[:2]
    valid = at.valid[0].reshape(shape) & views.seen
    error = torch.where(valid[..., None], at.xy_px[0].reshape(*shape, 2) - views.xy_px, 0.0)
    d_point = at.d_point[0]
    d_late = (d_point @ carried.velocity[..., None])[..., 0].reshape(*shape, 2)
    since = (views.own_s - views.middle_s)[:, None, None]
    d_clock = torch.stack([d_late, d_late * since, d_late * views.rows_below[..., None]], -1)
    lens = torch.cat([at.d_pose[0], at.d_intrinsics[0]], -1)
    lens = lens.reshape(*shape, 2, lens.shape[-1])
    d_control = (d_point @ carried.d_control.flatten(2)).reshape(*shape, 2, SPAN * POSE)
    first = interval.reshape(shape)[:, 0] if shape[1] else interval[:0]
    return ViewSlopes(error, valid, torch.cat([lens, d_clock], -1), d_control, d_late, first)


def _noise(problem: TimedProblem, state: TimedState, use: Sequence[Tensor]) -> Tensor:
    """(C,) robust factor between errors and what the detector expects of them."""
    factors: list[float] = []
    for camera, views in enumerate(problem.views):
        error = corner_errors(views, state, camera) / views.expected_px[..., None]
        some = error[use[camera] & torch.isfinite(error).all(-1)]
        typical = float(views.expected_px[views.seen].median()) if views.seen.any() else 1.0
        floor = problem.options.min_sigma_px / typical
        factors.append(max(floor, 1.4826 * float(some.abs().median())) if len(some) else floor)
    return torch.tensor(factors, dtype=torch.float64)


def _fitting(problem: TimedProblem, state: TimedState, sigma: Tensor) -> tuple[Tensor, ...]:
    """Corners that are not outliers among those of their view.

    A view that is off as a whole may be late by more than others were: it stays, with a bounded pull.
    """
    found: list[Tensor] = []
    for c, views in enumerate(problem.views):
        error = corner_errors(views, state, c)
        limit = problem.options.reject_sigmas * sigma[c] * views.expected_px
        if not error.numel():
            found.append(views.seen)
            continue
        whole = error.nanmedian(1, keepdim=True).values
        apart = (error - whole).norm(dim=-1).nan_to_num(nan=torch.inf)
        off = whole.norm(dim=-1).nan_to_num(nan=torch.inf)
        found.append(views.seen & (apart < limit) & (off < _LATE_VIEW * limit))
    return tuple(found)


def _still_errors(problem: TimedProblem, state: TimedState) -> Tensor:
    if problem.still is None:
        return torch.zeros(0, 0, 2, dtype=torch.float64)
    return problem.still.errors(state.cameras, state.still)


class _Solver:
    """Costs and steps of one problem with given noise."""

    def __init__(self, problem: TimedProblem, use: Sequence[Tensor], sigma: Tensor, jitter_s: float) -> None:
        self.problem, self.use, self.jitter = problem, use, jitter_s
        self.sigma = [sigma[c] * views.expected_px for c, views in enumerate(problem.views)]
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
        for camera, views in enumerate(self.problem.views):
            error = corner_errors(views, state, camera).norm(dim=-1) / self.sigma[camera]
            total = total + self._huber(error)[self.use[camera]].sum()
            total = total + 0.5 * (state.late_s[camera] / self.jitter).square().sum()
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
                steps = tuple(
                    times + one.step(damping, camera.reshape(len(state.cameras), -1)[c], control)
                    for c, (times, one) in enumerate(zip(state.late_s, late, strict=True))
                )
                moved = replace(moved, late_s=steps)
            if lens is not None:
                columns = camera.reshape(len(state.cameras), -1)[:, :-CLOCK]
                moved = replace(moved, still=moved_poses(state.still, lens.board_steps(damping, columns)))
            return moved

        return stepped

    def covariance(self, state: TimedState) -> Tensor:
        """(C * P, C * P) of the camera parameters, 0 where fixed."""
        chain, still = self._without_late(*self._equations(state), 0.0), self.problem.still
        if still is not None:
            lens = still.equations(state.cameras, state.still)
            chain = lens.added_to(chain, 0.0, self.problem.free.lens, CLOCK)
        whole = torch.zeros(len(self.free), len(self.free), dtype=torch.float64)
        if self.free.any():
            rows = torch.nonzero(self.free)[:, 0]
            reduced, _ = chain.reduced(0.0, self.free)
            whole[rows[:, None], rows] = inverse_of(reduced)
        return whole

    def jitter_s(self, state: TimedState) -> float:
        """The spread of the frames' time errors that the views speak for: what EM makes of it in one step."""
        total, count = 0.0, 0.0
        for times, one in zip(state.late_s, self._equations(state)[1], strict=True):
            told = one.curvature * self.jitter**2 > 2.0  # the view says more of its time than the prior does
            total += float((times.square() + 1.0 / one.curvature)[told].sum())
            count += int(told.sum())
        prior = self.problem.prior
        # What all cameras' frames of one instant have in common is taken for motion.
        frames = len(torch.cat([views.frame for views in self.problem.views]).unique())
        count *= 1.0 - frames / max(frames + 1, sum(len(views.frame) for views in self.problem.views))
        if count < _LEAST_FRAMES:
            return prior.jitter_s
        return min(max(prior.min_jitter_s, (total / count) ** 0.5), prior.jitter_s)

    def _huber(self, error: Tensor) -> Tensor:
        knee = self.problem.options.huber_sigmas
        error = torch.where(torch.isfinite(error), error, _MISSED_SIGMAS)
        return torch.where(error <= knee, 0.5 * error.square(), knee * (error - 0.5 * knee))

    def _lens_left(self, state: TimedState) -> Tensor:
        return (self.lens_rows @ _lens(state.cameras)[..., None])[..., 0] - self.lens_target

    def _without_late(self, chain: ChainEquations, late: Sequence[_Late], damping: float) -> ChainEquations:
        """The equations with the frames' own times eliminated, if these are free."""
        if not self.problem.free.late:
            return chain
        less = chain.copy()
        width = len(self.free) // len(late)
        for camera, one in enumerate(late):
            one.eliminate_from(less, slice(camera * width, (camera + 1) * width), damping)
        return less

    def _equations(self, state: TimedState) -> tuple[ChainEquations, list[_Late]]:
        """The normal equations without the frames' own times, and by camera how these hang on the rest."""
        count, width = len(state.cameras), self.free.numel() // len(state.cameras)
        controls = len(state.motion.place)
        chain, late = _nothing(count * width, controls), list[_Late]()
        _ = state.cameras.max_radius2
        for camera, views in enumerate(self.problem.views):
            at = linearise_views(views, state, camera)
            size = at.error.norm(dim=-1) / self.sigma[camera]
            knee = self.problem.options.huber_sigmas
            weight = torch.clamp(knee / size.clamp(min=1e-12), max=1.0) / self.sigma[camera].square()
            weight = torch.where(at.valid & self.use[camera], weight, 0.0).sqrt()
            at = _beyond_the_knee(at, size > knee)
            columns = slice(camera * width, (camera + 1) * width)
            late.append(_add_views(chain, at, weight, columns, state.late_s[camera], self.jitter))
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
        cameras = replace(
            state.cameras,
            focal_px=lens[:, :2],
            center_px=lens[:, 2:4],
            distortion=lens[:, 4:],
            cam_from_world=moved_poses(state.cameras.cam_from_world, step[:, :POSE]),
        )
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


def _nothing(width: int, controls: int) -> ChainEquations:
    def zeros(*shape: int) -> Tensor:
        return torch.zeros(*shape, dtype=torch.float64)

    return ChainEquations(
        camera=zeros(width, width),
        camera_slope=zeros(width),
        band=zeros(controls, 4, POSE, POSE),
        chain_slope=zeros(controls, POSE),
        coupling=zeros(controls, POSE, width),
    )


def _beyond_the_knee(at: ViewSlopes, beyond: Tensor) -> ViewSlopes:
    """The same slope of the cost, with the curvature that the robust loss really has (Triggs 2000)."""
    if not beyond.any():
        return at
    way = torch.where(beyond[..., None], torch.nn.functional.normalize(at.error, dim=-1), 0.0)

    def across(slope: Tensor) -> Tensor:
        along = (way[..., None] * slope).sum(-2, keepdim=True)
        return slope - (1.0 - _RADIAL) * way[..., None] * along

    return at._replace(
        error=torch.where(beyond[..., None], at.error / _RADIAL, at.error),
        d_camera=across(at.d_camera),
        d_control=across(at.d_control),
        d_late=across(at.d_late[..., None])[..., 0],
    )


class _Late(NamedTuple):
    """How the frame times of one camera follow a step of everything else."""

    by_camera: Tensor
    """(V, P)"""
    by_control: Tensor
    """(V, 24)"""
    slope: Tensor
    """(V,)"""
    curvature: Tensor
    """(V,) with the prior's share."""
    interval: Tensor
    """(V,)"""

    def step(self, damping: float, camera: Tensor, control: Tensor) -> Tensor:
        """(V,) seconds that go with steps of the camera (P,) and of the control points (M, 6)."""
        parts = torch.stack([control[self.interval + k] for k in range(4)], 1).flatten(1)
        pull = self.slope + self.by_camera @ camera + (self.by_control * parts).sum(-1)
        return -pull / self._damped(damping)

    def eliminate_from(self, chain: ChainEquations, columns: slice, damping: float) -> None:
        """Take the frames' own times out of the equations of their camera, in place."""
        curvature = self._damped(damping)
        camera, control = self.by_camera / curvature[:, None], self.by_control / curvature[:, None]
        chain.camera[columns, columns] -= self.by_camera.mT @ camera
        chain.camera_slope[columns] -= camera.mT @ self.slope
        coupling = -self.by_control[:, :, None] * camera[:, None, :]
        add_to_rows(chain.coupling[..., columns], self.interval, coupling)
        add_to_band(chain.band, self.interval, -self.by_control[:, :, None] * control[:, None, :])
        add_to_rows(chain.chain_slope, self.interval, -control * self.slope[:, None])

    def _damped(self, damping: float) -> Tensor:
        return (1.0 + damping) * self.curvature


def _add_views(
    chain: ChainEquations, at: ViewSlopes, weight: Tensor, columns: slice, late_s: Tensor, jitter_s: float
) -> _Late:
    """Add one camera's views to the equations; how their own times hang on the rest is returned."""
    scale = weight[..., None, None]
    d_camera, d_control = (scale * at.d_camera).flatten(1, 2), (scale * at.d_control).flatten(1, 2)
    error = (weight[..., None] * at.error).flatten(1)[..., None]  # (V, 2K, 1)
    d_late = (weight[..., None] * at.d_late).flatten(1)[..., None]
    flat = d_camera.flatten(0, 1)
    chain.camera[columns, columns] += flat.mT @ flat
    chain.camera_slope[columns] += (flat.mT @ error.flatten(0, 1))[:, 0]
    add_to_rows(chain.coupling[..., columns], at.interval, d_control.mT @ d_camera)
    add_to_band(chain.band, at.interval, d_control.mT @ d_control)
    add_to_rows(chain.chain_slope, at.interval, (d_control.mT @ error)[..., 0])
    return _Late(
        by_camera=(d_camera.mT @ d_late)[..., 0],
        by_control=(d_control.mT @ d_late)[..., 0],
        slope=(d_late * error).sum((1, 2)) + late_s / jitter_s**2,
        curvature=d_late.square().sum((1, 2)) + 1.0 / jitter_s**2,
        interval=at.interval,
    )
