"""The block-banded equations against the same ones written out in full."""

import numpy as np
import pytest
import torch

from mocap.fit.banded import Factor, NotPositiveError
from mocap.fit.problem import NormalEquations

FRAMES, POSE, BORDER = 6, 4, 3


@pytest.fixture
def written_out() -> tuple[NormalEquations, np.ndarray, np.ndarray]:
    """Equations of random residuals over three frames and the border, with the full matrix and gradient."""
    random = np.random.default_rng(0)
    size = FRAMES * POSE + BORDER
    full, gradient = 0.1 * np.eye(size), random.normal(size=size)
    for frame in range(FRAMES - 2):
        rows = np.zeros((8, size))
        rows[:, frame * POSE : (frame + 3) * POSE] = random.normal(size=(8, 3 * POSE))
        rows[:, FRAMES * POSE :] = random.normal(size=(8, BORDER))
        full += rows.T @ rows
    return equations_of(full, gradient), full, gradient


def equations_of(full: np.ndarray, gradient: np.ndarray) -> NormalEquations:
    inner = FRAMES * POSE
    blocks = full[:inner, :inner].reshape(FRAMES, POSE, FRAMES, POSE).transpose(0, 2, 1, 3)
    bands = [np.zeros((FRAMES, POSE, POSE)) for _ in range(3)]
    for ahead, band in enumerate(bands):
        for frame in range(FRAMES - ahead):
            band[frame] = blocks[frame, frame + ahead]
    return NormalEquations(
        tuple(torch.from_numpy(band) for band in bands),
        torch.from_numpy(full[:inner, inner:].reshape(FRAMES, POSE, BORDER).copy()),
        torch.from_numpy(full[inner:, inner:].copy()),
        torch.from_numpy(gradient[:inner].reshape(FRAMES, POSE).copy()),
        torch.from_numpy(gradient[inner:].copy()),
    )


def factor(
    equations: NormalEquations, *, held: tuple[int, ...] = (), held_border: tuple[int, ...] = (), damping=0.0
):
    frames, border = np.zeros(FRAMES, bool), np.zeros(BORDER, bool)
    frames[list(held)], border[list(held_border)] = True, True
    return Factor(equations, damping=damping, held=frames, held_border=border)


def test_the_step_solves_the_full_equations(written_out) -> None:
    equations, full, gradient = written_out
    pose, border = factor(equations).solve()
    expected = np.linalg.solve(full, -gradient)
    assert np.allclose(np.concatenate([pose.numpy().ravel(), border.numpy()]), expected, atol=1e-7)


def test_damping_adds_to_the_diagonal(written_out) -> None:
    equations, full, gradient = written_out
    pose, border = factor(equations, damping=0.5).solve()
    expected = np.linalg.solve(full + 0.5 * np.diag(np.diag(full)), -gradient)
    assert np.allclose(np.concatenate([pose.numpy().ravel(), border.numpy()]), expected, atol=1e-7)


def test_what_is_held_does_not_move_and_the_rest_solves_what_is_left(written_out) -> None:
    equations, full, gradient = written_out
    pose, border = factor(equations, held=(0, 1), held_border=(2,)).solve()
    step = np.concatenate([pose.numpy().ravel(), border.numpy()])
    free = np.ones(len(full), bool)
    free[: 2 * POSE] = free[-1] = False
    assert np.all(step[~free] == 0)
    assert np.allclose(step[free], np.linalg.solve(full[free][:, free], -gradient[free]), atol=1e-7)


def test_the_posterior_is_the_inverse(written_out) -> None:
    equations, full, _ = written_out
    given, by_border, border = factor(equations).posterior()
    inverse, inner = np.linalg.inv(full), FRAMES * POSE
    assert np.allclose(border.numpy(), inverse[inner:, inner:], atol=1e-7)
    for frame in range(FRAMES):
        rows = slice(frame * POSE, (frame + 1) * POSE)
        f = by_border[frame]
        assert np.allclose((given[frame] + f @ border @ f.T).numpy(), inverse[rows, rows], atol=1e-7)
        assert np.allclose((f @ border).numpy(), inverse[rows, inner:], atol=1e-7)


def test_equations_that_are_not_positive_are_refused(written_out) -> None:
    _, full, gradient = written_out
    full = full.copy()
    full[5, 5] = -1.0
    with pytest.raises(NotPositiveError):
        factor(equations_of(full, gradient))
