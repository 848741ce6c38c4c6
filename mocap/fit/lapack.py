"""BLAS and LAPACK on addresses, without Python's lock: other threads compute meanwhile.

scipy's wrappers of the same routines hold the lock, and take longer to call than small blocks take to solve.
Matrices are column-major doubles, as Fortran has them.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cython_blas, cython_lapack

Matrix = NDArray[np.float64]

_api = ctypes.pythonapi
_api.PyCapsule_GetName.restype = ctypes.c_char_p
_api.PyCapsule_GetName.argtypes = [ctypes.py_object]
_api.PyCapsule_GetPointer.restype = ctypes.c_void_p
_api.PyCapsule_GetPointer.argtypes = [ctypes.py_object, ctypes.c_char_p]


def _routine(module: Any, name: str, arguments: int) -> Callable[..., None]:
    """A routine that scipy offers to compiled code; it takes addresses only."""
    capsule = module.__pyx_capi__[name]
    address = _api.PyCapsule_GetPointer(capsule, _api.PyCapsule_GetName(capsule))
    return ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * arguments)(address)


_dpotrf = _routine(cython_lapack, "dpotrf", 5)
_dtrsm = _routine(cython_blas, "dtrsm", 11)
_dsyrk = _routine(cython_blas, "dsyrk", 10)
_dgemm = _routine(cython_blas, "dgemm", 13)


class _Constants:
    """Addresses of what routines are told by reference; they stay as long as this does."""

    def __init__(self, *numbers: int) -> None:
        # 64 bits serve routines that read 32 of them as well
        self._words = np.array(numbers, dtype="<i8")
        self._reals = np.array([-1.0, 1.0])
        self._letters = np.frombuffer(b"LTN", dtype=np.uint8)
        self.numbers = tuple(self._words.ctypes.data + 8 * index for index in range(len(numbers)))
        self.minus, self.one = (self._reals.ctypes.data + 8 * index for index in range(2))
        self.lower, self.transposed, self.plain = (self._letters.ctypes.data + index for index in range(3))


def eliminate(own: Matrix, ahead: Matrix, corner: Matrix) -> int | None:
    """Cholesky's factor of equations that couple each frame with the next two, and with a border.

    All is done in place: the first N frames become their factor, and the two after them, as well as the
    corner, hold what is left of their equations.

    Args:
        own: (N + 2, D, D) each frame's own block; only the lower triangle (of the columns) counts.
        ahead: (N + 2, 2 D + Q, D) columns of the blocks between a frame and the next, the one after it, and
            the border.
        corner: (Q, Q) the border's own block, lower triangle (of the columns).

    Returns:
        The first frame whose block is not positive definite; None where all are.
    """
    num, size, border = len(own) - 2, own.shape[1], len(corner)
    info = np.zeros(1, dtype="<i8")
    at = _Constants(size, ahead.shape[1], border)
    d, wide, q = at.numbers
    low, turn, plain, one, minus = at.lower, at.transposed, at.plain, at.one, at.minus
    own_at, ahead_at, corner_at, info_at = (a.ctypes.data for a in (own, ahead, corner, info))
    block, row = 8 * size * size, 8 * size * ahead.shape[1]
    for frame in range(num):
        factor, following = own_at + frame * block, own_at + (frame + 1) * block
        next_, later = ahead_at + frame * row, ahead_at + frame * row + block
        right = later + block
        _dpotrf(low, d, factor, d, info_at)
        if info[0]:
            return frame
        _dtrsm(low, low, plain, plain, d, wide, one, factor, d, next_, d)
        _dsyrk(low, turn, d, d, minus, next_, d, one, following, d)
        _dsyrk(low, turn, d, d, minus, later, d, one, following + block, d)
        _dgemm(turn, plain, d, d, d, minus, next_, d, later, d, one, next_ + row, d)
        _dgemm(turn, plain, d, q, d, minus, next_, d, right, d, one, right + row, d)
        _dgemm(turn, plain, d, q, d, minus, later, d, right, d, one, right + 2 * row, d)
        _dsyrk(low, turn, q, d, minus, right, d, one, corner_at, q)
    return None
