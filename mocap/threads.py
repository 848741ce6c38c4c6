"""How many threads torch may use, and work that is shared between a few of our own."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import torch

A = TypeVar("A")
B = TypeVar("B")

_MOST_THREADS = 4
"""More of them mostly wait for Python's lock."""


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


def side_by_side(first: Callable[[], A], second: Callable[[], A]) -> tuple[A, A]:
    """Run two tasks at once and return what they return; for work that numpy does outside Python's lock."""
    with ThreadPoolExecutor(1) as pool:
        started = pool.submit(first)
        ended = second()
        return started.result(), ended


def in_order(work: Callable[[A], B], items: Iterable[A]) -> Iterator[B]:
    """Results of ``work`` for each item, in order; threads work on the next ones while a result is used.

    At most one result for each thread waits, which bounds the memory.

    Args:
        work: most of whose time is spent outside Python's lock.
        items: taken as they are needed, in the caller's thread.
    """
    threads = max(1, min(_MOST_THREADS, os.cpu_count() or 1))
    waiting: deque[Future[B]] = deque()
    pool = ThreadPoolExecutor(threads)
    try:
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) > threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
