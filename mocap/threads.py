"""Threads: how many torch may use, and two tasks at once."""

from __future__ import annotations

from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import torch

_T = TypeVar("_T")


@contextmanager
def one_thread() -> Generator[None]:
    """Keep torch to one thread: on many small matrices more of them mostly wait for each other.

    Measured on a calibration with two cores and other work on them: four times slower with two threads.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def side_by_side(first: Callable[[], _T], second: Callable[[], _T]) -> tuple[_T, _T]:
    """Run two tasks at once and return what they return; for work that numpy does outside Python's lock."""
    with ThreadPoolExecutor(1) as pool:
        started = pool.submit(first)
        ended = second()
        return started.result(), ended
