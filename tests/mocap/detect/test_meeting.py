"""Cameras that ask a network together: everyone gets their own answer, and nobody waits for ever."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mocap.detect import DETECTORS, detect, network_family
from mocap.detect.meeting import Meeting
from mocap.detect.models import FOLDER_VARIABLE
from mocap.detect.network import ImageInput, Outputs
from mocap.detect.own_models import add
from mocap.keypoints import CameraKeypoints
from mocap.settings import DetectSettings
from mocap.video import ClipWriter
from tests.mocap.detect import painted
from tests.mocap.detect.painted import paint


class Sums:
    """A network whose outputs tell the images apart; it counts how many it got at once."""

    def __init__(self, path: Path, *, by_image: bool = True) -> None:
        self.path, self.batches = path, list[int]()
        self.input = ImageInput(None, False, True, None, np.float32)
        self._by_image = by_image

    def __call__(self, images: NDArray[Any]) -> Outputs:
        self.batches.append(len(images))
        if np.isnan(images).any():
            raise ArithmeticError("no number")
        sums = images.sum(axis=(1, 2, 3))
        return [sums, np.stack([sums, -sums], 1)] if self._by_image else [np.repeat(sums, 2)]


def together(count: int, work: Callable[[int, Meeting], Any], network: Sums) -> list[Any]:
    """What so many members come to; an error of theirs in its place."""
    meeting, found = Meeting(count, lambda path: network), [None] * count

    def attend(index: int) -> None:
        try:
            found[index] = work(index, meeting)
        except Exception as error:
            found[index] = error
        finally:
            meeting.leave()

    threads = [threading.Thread(target=attend, args=(index,)) for index in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive()
    return found


def images(index: int, turn: int) -> NDArray[Any]:
    """One or two images of one of two sizes."""
    side = 4 + 2 * (turn % 3 == 0 and index % 2)
    return np.random.default_rng([index, turn]).random((1 + index % 2, side, side, 3))


@pytest.mark.parametrize("by_image", [True, False])
def test_everyone_gets_their_own_answers(by_image: bool) -> None:
    def work(index: int, meeting: Meeting) -> list[Outputs]:
        network = meeting.open(Path("net"))
        return [network(images(index, turn)) for turn in range(3 + 4 * index)]

    shared, alone = Sums(Path("net"), by_image=by_image), Sums(Path("net"), by_image=by_image)
    for index, answers in enumerate(together(4, work, shared)):
        for turn, answer in enumerate(answers):
            for got, wanted in zip(answer, alone(images(index, turn)), strict=True):
                np.testing.assert_allclose(got, wanted)
    assert max(shared.batches) == 6


def test_an_error_reaches_all_who_asked() -> None:
    def work(index: int, meeting: Meeting) -> None:
        meeting.open(Path("net"))(np.full((1, 2, 2, 3), np.nan if index else 1.0))

    assert [type(error) for error in together(3, work, Sums(Path("net")))] == [ArithmeticError] * 3


def test_cameras_together_find_what_each_finds_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "models"))
    size_px = (416, 240)
    clips = {}
    for number, people in enumerate((2, 1, 0)):
        clips[f"cam{number}"] = tmp_path / f"cam{number}.mp4"
        with ClipWriter(clips[f"cam{number}"], size_px, 30) as writer:
            for frame in range(4 + number):
                writer.write(paint(size_px, people, 17, seed=frame).rgb)
    imagenet = {"mean": (123.675, 116.28, 103.53), "std": (58.395, 57.12, 57.375)}
    rtmdet = {"bgr": True, "mean": (103.53, 116.28, 123.675), "std": (57.375, 57.12, 58.395)}
    add("rtmpose", painted.simcc_net(tmp_path / "net.onnx", 17, (192, 256), **imagenet))
    add("rtmdet", painted.labelled_net(tmp_path / "person.onnx", 17, **rtmdet))
    found: list[dict[str, CameraKeypoints]] = []
    for there in (False, True):
        monkeypatch.setattr(network_family, "accelerated", lambda there=there: there)
        entry, settings = DETECTORS["rtmpose"], DetectSettings(detector="rtmpose", person="rtmdet")
        assert entry.together(entry.files(settings)) == there
        found.append({})
        detect(
            clips,
            settings=settings,
            scratch=tmp_path / str(there),
            save=found[-1].__setitem__,
        )
    alone, shared = found
    assert list(sorted(shared)) == list(clips)
    assert [len(shared[camera].time_s) for camera in clips] == [4, 5, 6]
    assert alone["cam0"].xy_px.shape[1] == 2
    for camera in clips:
        np.testing.assert_allclose(shared[camera].xy_px, alone[camera].xy_px, atol=1e-3)
