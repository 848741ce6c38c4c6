"""How many threads torch may use."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

import torch


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
