"""Work that one thread does while another still uses what it made before: decoding beside a network."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")

_POLL_S = 0.1


@dataclass(frozen=True)
class _End:
    """The last thing in the queue."""

    error: BaseException | None
    """What ended it, if it was no ordinary end."""


class _Reader(Generic[T]):
    """Takes items in a thread of its own until it is told to stop."""

    def __init__(self, items: Iterable[T], depth: int) -> None:
        self._items = items
        self._stopped = threading.Event()
        self.made: queue.Queue[T | _End] = queue.Queue(depth)
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread, wherever it is."""
        self._stopped.set()
        self._thread.join()

    def _read(self) -> None:
        error: BaseException | None = None
        try:
            for item in self._items:
                if not self._put(item):
                    return
        except BaseException as raised:  # it is raised again where the items are used
            error = raised
        self._put(_End(error))

    def _put(self, item: T | _End) -> bool:
        while not self._stopped.is_set():
            try:
                self.made.put(item, timeout=_POLL_S)
            except queue.Full:
                continue
            return True
        return False


def ahead(items: Iterable[T], depth: int = 2) -> Iterator[T]:
    """The same items in the same order, made by a thread that is at most so many ahead.

    What making them raises is raised here, after the items before it. Whoever stops early stops the thread.
    """
    reader = _Reader(items, depth)
    try:
        while not isinstance(item := reader.made.get(), _End):
            yield item
        if item.error is not None:
            raise item.error
    finally:
        reader.stop()
