"""The recipe: from observations and a rough track to points and their covariance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from calibration.cameras import Cameras
from mocap.keypoints import FloatArray
from mocap.solve.basis import Basis
from mocap.solve.bones import Bones, candidates, fit_bones
from mocap.solve.motion import Smoothness, fit_motion
from mocap.solve.noise import Correlation, Tails, correlate, fit_sigma, fit_tails
from mocap.solve.normal import Normal
from mocap.solve.terms import BoneTerm, MotionTerm, State, Term, ViewTerm
from mocap.solve.views import Views, linearise, solve3


@dataclass(frozen=True)
class Noise:
    sigma_px: FloatArray
    tails: Tails
    correlation: Correlation


@dataclass(frozen=True)
class SolvedTake:
    """Points of one person over the take."""

    xyz: FloatArray
    covariance: FloatArray
    noise: Noise
    motion: Smoothness
    bones: Bones
    views: Views


def solve_take(cameras: Cameras, xy_px, told_px, track, rate_hz, names, *, opts=None) -> SolvedTake:
    import time
    opts = opts or {}
    log = opts.get("log", lambda *a: None)
    t0 = time.process_time()
    def lap(what):
        nonlocal t0
        t1 = time.process_time(); log(f"{what:18s} {t1-t0:.3f}"); t0 = t1
    views = linearise(cameras, track, xy_px)
    lap("linearise")
    told = np.moveaxis(told_px, 0, 1)
    features = features_of(told, views.seen, rate_hz)
    lap("features")
    # first robust pass around the track
    sigma = np.where(views.seen, told, 1.0)
    xyz = track
    for scale in (4.0, 2.0, 1.0):
        e = views.error_at(xyz)
        u = (e**2).sum(0) / sigma**2 / scale**2
        w = np.where(views.seen, 5 / (3 + u) / sigma**2 / scale**2, 0.0)
        A, b = views.normal(w, e)
        pull = 1 / (0.05 * scale) ** 2 * np.array([1, 0, 0, 1, 0, 1.0])
        xyz = xyz + solve3(A + pull, b + 1 / (0.05 * scale) ** 2 * (track - xyz))
    lap("robust frames")
    noise, framewise, good, info = estimate_noise(views, xyz, sigma, features, rate_hz)
    lap("noise")
    variance = mean_variance(info, good, noise)
    motion = fit_motion(framewise, variance, noise.correlation, opts.get("orders", (3, 4)))
    lap("motion")
    for round_ in range(opts.get("each", 2)):
        step = opts.get("step") or choose_step(motion)
        basis = Basis(len(track), step)
        if round_ == 0:
            knots = basis.approximate(xyz)
        state = State(knots, basis.expand(knots), np.zeros(0))
        view_term, w = view_term_of(views, state, noise)
        normal = Normal(basis, len(names), 0, reach_of(motion, basis, noise.correlation))
        for term in (view_term, motion_term(motion, basis)):
            term.add(normal, state)
        knots = state.knots + normal.step_each()
        xyz = basis.expand(knots)
        lap("each")
        if round_ == 0:
            # noise again, seen from a good track
            noise, framewise, good, info = estimate_noise(views, xyz, sigma, features, rate_hz)
            variance = mean_variance(info, good, noise)
            motion = fit_motion(framewise, variance, noise.correlation, opts.get("orders", (3, 4)))
            lap("noise, motion")
            newstep = opts.get("step") or choose_step(motion)
            if newstep != step:
                basis = Basis(len(track), newstep); knots = basis.approximate(xyz)
    views = linearise(cameras, xyz, xy_px)
    lap("linearise")
    smooth_var = posterior_variance(variance, motion, noise.correlation)
    bones = fit_bones(xyz, smooth_var, good, candidates(names), float(np.median(motion.cutoff)) / np.pi)
    log("rho", noise.correlation.rho, "bias", noise.correlation.bias, "order", motion.order, "step", basis.step, "cut", np.round(np.median(motion.cutoff),3), "bones", len(bones), np.round(1e3*np.array(bones.sd),1), "sv mm", np.round(1e3*np.sqrt(smooth_var),1))
    if opts.get("nobones"):
        return SolvedTake(xyz, None, noise, motion, bones, views)
    lap("bones")
    lengths = bones.length.copy()
    factor = None
    for round_ in range(opts.get("rounds", 3)):
        state = State(knots, xyz, lengths)
        view_term, w = view_term_of(views, state, noise)
        normal = Normal(basis, len(names), len(bones), reach_of(motion, basis, noise.correlation))
        weight = 1 / (5e-4**2 + (bones.sd**2-5e-4**2)*max(0.3*rate_hz,1))
        for term in (view_term, motion_term(motion, basis), BoneTerm(bones.first, bones.second, weight)):
            term.add(normal, state)
        lap("assemble")
        factor = normal.factor()
        lap("factor")
        move, change = normal.step(factor)
        knots = knots + move
        lengths = lengths + change
        xyz = basis.expand(knots)
        lap("solve")
        log("move mm", 1e3*np.abs(move).max(), 1e3 * np.sqrt((move**2).sum(-1)).mean(), "len", 1e3*np.abs(change).max())
    covariance = covariances(factor, basis)
    lap("covariance")
    return SolvedTake(xyz, covariance, noise, motion, Bones(bones.first, bones.second, lengths, bones.sd), views)


def features_of(told, seen, rate_hz):
    """Logarithms of what is told, now and over a sixth of a second around."""
    now = np.log(np.where(seen, told, 1.0))
    middle = np.log(np.median(told[seen])) if seen.any() else 0.0
    now = np.where(seen, now, middle)
    high = np.quantile(now[seen], 0.9) if seen.any() else 0.0
    reach = max(1, round(0.13 * rate_hz))
    window = 1 - np.abs(np.arange(-reach, reach + 1)) / (reach + 1)
    from scipy.ndimage import convolve1d
    capped = np.where(seen, np.minimum(now, high), 0.0)
    total = convolve1d(capped, window, axis=1, mode="constant")
    count = convolve1d(seen.astype(float), window, axis=1, mode="constant")
    lasting = np.where(count > 0.3, total / np.maximum(count, 0.3), middle)
    return [lasting, now - lasting]


def estimate_noise(views, xyz, sigma0, features, rate_hz):
    """Noise, points frame by frame, which of them are good, and their information."""
    seen = views.seen
    error = views.error_at(xyz)
    square = (error**2).sum(0)
    sigma = sigma0
    # ordinary size first: the told deviations may be off by any factor
    ratio = np.median(square[seen] / sigma[seen] ** 2) / 1.386
    sigma = sigma * np.sqrt(max(ratio, 1e-6))
    tails = fit_tails((square / sigma**2)[seen][:: max(1, seen.sum() // 100000)])
    for _ in range(2):
        u = square / sigma**2
        sound = np.where(seen, tails.soundness(u), 0.0)
        ok = sound > 0.5
        w = np.where(ok, tails.weight(u) / sigma**2, 0.0)
        A, b = views.normal(w, error)
        n = ok.sum(0)
        good = n >= 2
        eye = np.array([1, 0, 0, 1, 0, 1.0])
        ridge = 1 / 0.3**2
        shift = solve3(A + ridge * eye, b)
        framewise = np.where(good[..., None], xyz + shift, xyz)
        own = views.error_at(framewise)
        share = np.where(n >= 3, 1 - 1.5 / np.maximum(n, 2), 1.0)
        usable = np.where((n >= 3) & ok, sound, 0.0)
        sigma = fit_sigma((own**2).sum(0) / 2 / share, usable, features)
        sigma = np.where(seen, sigma, 1.0)
        tails = fit_tails((square / sigma**2)[seen][:: max(1, seen.sum() // 100000)])
    correlation = correlate(own / sigma, ok, rate_hz)
    return Noise(sigma, tails, correlation), framewise, good, A


def mean_variance(info, good, noise):
    inverse = np.stack([solve3(info + 1e-3*np.array([1,0,0,1,0,1.]), np.broadcast_to(np.eye(3)[a], info.shape[:2] + (3,)))[..., a] for a in range(3)], -1)
    ok = good[..., None] & (inverse < 0.05**2)
    return np.where(ok, inverse, 0).sum(0) / np.maximum(ok.sum(0), 1) + 1e-12


def choose_step(motion):
    return int(np.clip(0.35 * np.pi / np.median(np.sort(motion.cutoff)[-6:]), 1, 6))


def posterior_variance(variance, motion, correlation):
    omega = np.linspace(1e-3, np.pi, 400)
    second = 4 * np.sin(omega / 2) ** 2
    signal = motion.variance[:, None] * second ** (-motion.order)
    noise = variance.mean(1)[:, None] * correlation.spectrum(omega)
    return (signal * noise / (signal + noise)).mean(1)


def reach_of(motion, basis, correlation):
    if basis.step == 1:
        return max(motion.order, 3 if correlation.rho >= 0.05 else 1)
    return max(motion.order, 4 if correlation.rho >= 0.05 else 3)


def motion_term(motion, basis):
    stencil = np.array([1.0])
    for _ in range(motion.order):
        stencil = np.convolve(stencil, [1.0, -1.0])
    return MotionTerm(stencil, 1 / (motion.variance * basis.step ** (2 * motion.order - 1)))


def view_term_of(views, state, noise):
    error = views.error_at(state.xyz)
    u = (error**2).sum(0) / noise.sigma_px**2
    weight = np.where(views.seen, noise.tails.weight(u) / noise.sigma_px**2, 0.0)
    sound = views.seen & (noise.tails.soundness(u) > 0.5)
    return ViewTerm(views, weight, noise.correlation.chains(sound)), weight


def covariances(factor, basis):
    reach = basis.weight.shape[1] - 1
    blocks = factor.inverse(reach)
    num, size = blocks[0].shape[:2]
    count = size // 3
    which = np.arange(count)
    near = [np.moveaxis(b.reshape(num, count, 3, count, 3)[:, which, :, which, :], 0, 1) for b in blocks]
    step = basis.step
    result = np.zeros((-(-basis.num_frames // step), step, count, 3, 3))
    I = len(result)
    for a in range(reach + 1):
        for c in range(a, reach + 1):
            w = basis.weight[:, a] * basis.weight[:, c]
            part = near[c - a][a:a + I]
            if c > a:
                part = part + np.swapaxes(part, -1, -2)
            result += w[None, :, None, None, None] * part[:, None]
    return result.reshape(-1, count, 3, 3)[:basis.num_frames]
