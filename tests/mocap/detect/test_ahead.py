"""Items made in a thread: the same ones, the same errors, and nothing left running."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from mocap.detect.ahead import ahead


def test_same_items_and_both_work_at_once() -> None:
    def slow() -> Iterator[int]:
        for number in range(8):
            time.sleep(0.03)
            yield number

    start, seen = time.perf_counter(), []
    for number in ahead(slow()):
        time.sleep(0.03)
        seen.append(number)
    assert seen == list(range(8))
    assert time.perf_counter() - start < 8 * 0.06 - 0.06
    assert list(ahead([])) == []


def test_errors_come_after_the_items_before_them() -> None:
    def broken() -> Iterator[int]:
        yield 1
        yield 2
        raise KeyError("three")

    seen = []
    with pytest.raises(KeyError, match="three"):
        for number in ahead(broken()):
            seen.append(number)
    assert seen == [1, 2]


def test_at_most_so_many_ahead_and_nothing_left_behind() -> None:
    made = []

    def endless() -> Iterator[int]:
        number = 0
        while True:
            made.append(number)
            yield number
            number += 1

    before = threading.active_count()
    items = ahead(endless(), depth=2)
    assert next(items) == 0
    time.sleep(0.3)
    assert len(made) <= 4
    items.close()  # type: ignore[attr-defined]
    assert threading.active_count() == before
