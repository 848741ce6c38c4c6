"""The banded solver against dense linear algebra, and what it says when nothing holds a point."""

import numpy as np
import pytest

from mocap.solve.basis import Basis
from mocap.solve.equations import Blocks, Factor, SolveError, solve_each


def random_system(num: int = 9, size: int = 4, reach: int = 3, border: int = 2, seed: int = 0):
    rng = np.random.default_rng(seed)
    total = num * size + border
    dense = np.zeros((total, total))
    for knot in range(num):
        last = min(num, knot + reach + 1) * size
        part = rng.normal(size=(3, last - knot * size))
        where = np.r_[knot * size : last]
        dense[np.ix_(where, where)] += part.T @ part
    edge = rng.normal(size=(num * size, border)) * 0.1
    dense[: num * size, num * size :] = edge
    dense[num * size :, : num * size] = edge.T
    dense += 3 * np.eye(total)
    blocks = dense[: num * size, : num * size].reshape(num, size, num, size)
    values = np.zeros((reach + 1, num, size * size))
    for apart in range(reach + 1):
        for knot in range(num - apart):
            values[apart, knot] = blocks[knot, :, knot + apart].ravel()
    entries = np.arange(size * size)
    return (
        dense,
        Blocks(size, entries, entries, values),
        edge.reshape(num, size, border),
        dense[num * size :, num * size :],
    )


@pytest.mark.parametrize(("num", "edge"), [(2, 2), (4, 2), (9, 2), (16, 2), (9, 0)])
def test_solution_border_and_inverse_are_those_of_the_dense_matrix(num: int, edge: int) -> None:
    dense, blocks, border, corner = random_system(num, border=edge)
    size = blocks.size
    factor = Factor(blocks, border, corner)
    right = np.random.default_rng(1).normal(size=len(dense))
    step, outer = factor.solve(right[: num * size].reshape(num, size), right[num * size :], free=True)
    expected = np.linalg.solve(dense, right)
    np.testing.assert_allclose(np.concatenate([step.ravel(), outer]), expected, rtol=1e-9, atol=1e-11)
    inner = dense[: num * size, : num * size]
    across = dense[: num * size, num * size :]
    np.testing.assert_allclose(factor.corner, corner - across.T @ np.linalg.solve(inner, across), atol=1e-9)
    held, none = factor.solve(right[: num * size].reshape(num, size), right[num * size :], free=False)
    np.testing.assert_allclose(held.ravel(), np.linalg.solve(inner, right[: num * size]), atol=1e-9)
    assert not none.any()
    np.testing.assert_allclose(
        factor.follow().reshape(num * size, edge), -np.linalg.solve(inner, across), atol=1e-9
    )
    inverse = np.linalg.inv(inner).reshape(num, size, num, size)
    for apart, parts in enumerate(factor.inverse(1, 2)):
        for knot in range(num - apart):
            block = inverse[knot, :, knot + apart]
            np.testing.assert_allclose(parts[knot, 0], block[:2, :2], atol=1e-6)
            np.testing.assert_allclose(parts[knot, 1], block[2:, 2:], atol=1e-6)


@pytest.mark.parametrize("knot", [1, 5, 8])
def test_points_that_nothing_holds_are_named(knot: int) -> None:
    _, blocks, border, corner = random_system()
    blocks.values[0, knot] = 0.0
    with pytest.raises(SolveError, match=f"knot {knot}: the points cannot be solved"):
        Factor(blocks, border, corner)


def test_points_alone_are_solved_as_if_together() -> None:
    rng = np.random.default_rng(0)
    num, count, reach = 7, 3, 2
    bands = [np.zeros((num, count, 3, 3)) for _ in range(reach + 1)]
    dense = np.zeros((count, num * 3, num * 3))
    for point in range(count):
        for knot in range(num - reach):
            part = rng.normal(size=(9, 9))
            where = slice(3 * knot, 3 * knot + 9)
            dense[point, where, where] += part.T @ part
        for apart in range(reach + 1):
            for knot in range(num - apart):
                rows = slice(3 * knot, 3 * knot + 3)
                bands[apart][knot, point] = dense[point, rows, 3 * (knot + apart) : 3 * (knot + apart) + 3]
    right = rng.normal(size=(num, count, 3))
    found = solve_each(bands, right)
    for point in range(count):
        np.testing.assert_allclose(
            found[:, point].ravel(), np.linalg.solve(dense[point], right[:, point].ravel()), rtol=1e-7
        )
    with pytest.raises(SolveError):
        solve_each([-bands[0], *bands[1:]], right)


@pytest.mark.parametrize("step", [1, 3, 4])
def test_splines_expand_gather_and_differ_as_their_matrix_does(step: int) -> None:
    basis = Basis(22, step)
    matrix = basis.expand(np.eye(basis.num_knots))  # (T, N)
    np.testing.assert_allclose(matrix.sum(1), 1.0)
    rng = np.random.default_rng(0)
    weight = rng.uniform(size=(22, 2))
    for which in range(2):
        square = matrix.T @ np.diag(weight[:, which]) @ matrix
        for apart, band in enumerate(basis.values.gather(weight)):
            np.testing.assert_allclose(
                band[: basis.num_knots - apart, which], np.diag(square, apart), atol=1e-12
            )
    np.testing.assert_allclose(basis.values.adjoint(weight), matrix.T @ weight, atol=1e-12)
    for lag in (1, 2, 3):
        change = matrix[lag:] - matrix[:-lag]
        square = change.T @ np.diag(weight[:-lag, 0]) @ change
        for apart, band in enumerate(basis.differences(lag).gather(weight[:-lag, :1])):
            expected = np.diag(square, apart)
            np.testing.assert_allclose(band[: len(expected), 0], expected, atol=1e-12)
    smooth = np.sin(np.arange(22) / 6)[:, None]
    back = basis.expand(basis.approximate(smooth))
    np.testing.assert_allclose(back, smooth, atol=1e-3)
