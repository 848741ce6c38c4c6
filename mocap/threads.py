"""How many threads torch may use, work that is shared between a few of our own, and the memory they use."""

from __future__ import annotations

import ctypes
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
_MALLOC = {-3: 32 << 20, -1: 1 << 30, -2: 64 << 20}
"""glibc's M_MMAP_THRESHOLD (the largest it takes), M_TRIM_THRESHOLD and M_TOP_PAD, bytes."""


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


def side_by_side(first: Callable[[], A], second: Callable[[], A]) -> tuple[A, A]:
    """Two tasks at once, and what they return."""
    one, two = in_order(lambda task: task(), (first, second))
    return one, two


def reuse_memory() -> None:
    """Let freed memory serve again, for the rest of the process, instead of going back to the system.

    A solve takes and frees arrays of some megabytes thousands of times; a third of its time went into pages
    that were fetched anew. Where the C library is not glibc, nothing happens.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    for parameter, value in _MALLOC.items():
        mallopt(parameter, value)
