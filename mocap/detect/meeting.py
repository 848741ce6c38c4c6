"""Cameras that ask one network together: a batch for an accelerator, instead of an image at a time.

Each camera works in a thread of its own. Whoever asks waits until all others ask, too, or are done; then the
images of all that want the same network go through it at once.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mocap.detect.network import ImageInput, Network, Outputs


@dataclass(eq=False)
class _Question:
    """What one camera waits for."""

    network: Network
    """Who is asked."""
    images: NDArray[Any]
    """(N, H, W, 3)."""
    answered: bool = False
    """Whether there is an answer or an error."""
    outputs: Outputs = field(default_factory=list)
    """The answer."""
    error: Exception | None = None
    """Why there is none."""


class Meeting:
    """The threads that ask together.

    Args:
        members: how many threads there are; each must call ``leave`` once, whatever happens to it.
        open_network: loads a network.
    """

    def __init__(self, members: int, open_network: Callable[[Path], Network]) -> None:
        self._members = members
        self._open = open_network
        self._networks: dict[Path, Network] = {}
        self._questions: list[_Question] = []
        self._turn = threading.Condition()

    def open(self, path: Path) -> Network:
        """A network that all members share; it is loaded once.

        Raises:
            InputError: as loading it does.
        """
        with self._turn:
            if path not in self._networks:
                self._networks[path] = self._open(path)
        return _Shared(self, self._networks[path])

    def leave(self) -> None:
        """One member asks no more."""
        with self._turn:
            self._members -= 1
            self._answer_if_all_wait()

    def ask(self, network: Network, images: NDArray[Any]) -> Outputs:
        """All outputs of a network for images (N, H, W, 3); waits for the other members."""
        question = _Question(network, images)
        with self._turn:
            self._questions.append(question)
            self._answer_if_all_wait()
            self._turn.wait_for(lambda: question.answered)
        if question.error is not None:
            raise question.error
        return question.outputs

    def _answer_if_all_wait(self) -> None:
        if len(self._questions) < self._members:
            return
        alike: dict[tuple[Any, ...], list[_Question]] = {}
        for question in self._questions:
            kind = (id(question.network), question.images.shape[1:], question.images.dtype)
            alike.setdefault(kind, []).append(question)
        for questions in alike.values():
            _answer(questions)
        self._questions = []
        self._turn.notify_all()


def _answer(questions: list[_Question]) -> None:
    """Ask one network all questions at once, and give each its share."""
    network = questions[0].network
    try:
        images = np.concatenate([question.images for question in questions])
        outputs = network(images)
        ends = np.cumsum([len(question.images) for question in questions])[:-1]
        by_image = all(len(output) == len(images) for output in outputs)
        shares = [np.split(output, ends) for output in outputs] if by_image else []
        for index, question in enumerate(questions):
            # A network that lists the people of all images together is asked for each camera's alone.
            question.outputs = [share[index] for share in shares] or network(question.images)
    except Exception as error:  # each of the threads raises it
        for question in questions:
            question.error = error
    for question in questions:
        question.answered = True


class _Shared:
    """A network as one member sees it."""

    def __init__(self, meeting: Meeting, network: Network) -> None:
        self._meeting = meeting
        self._network = network
        self.path: Path = network.path
        self.input: ImageInput = network.input

    def __call__(self, images: NDArray[Any]) -> Outputs:
        """All outputs for images (N, H, W, 3), which are already normalised."""
        return self._meeting.ask(self._network, images)
