"""Clocks from sound: planted offsets come back, through real files too; what contradicts is dropped."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from mocap.clocks import Footage, find_clocks
from mocap.clocks.combine import Estimate
from mocap.clocks.recorded import Recorded, from_labels, timecode_seconds
from mocap.clocks.sound import RATE_HZ, Sound, clocks_from_sound, listen
from mocap.settings import SyncSettings

OFFSET_S = {"a": 0.0, "b": 1.2371, "c": -0.6543}
DRIFT = {"a": 0.0, "b": 120e-6, "c": -60e-6}


def heard_world(seconds: float, rate_hz: int, seed: int = 0) -> np.ndarray:
    """Something to hear, from 5 s before the take's time 0: noises that come and go."""
    rng = np.random.default_rng(seed)
    time = np.arange(int((seconds + 10) * rate_hz)) / rate_hz
    loud = np.abs(np.interp(time, np.arange(0, time[-1] + 1, 0.1), rng.normal(0, 1, int(time[-1] * 10) + 11)))
    return rng.normal(0, 0.2, len(time)) * loud


def sounds(seconds: float, *, own: dict[str, int] | None = None) -> dict[str, Sound]:
    """What three cameras heard, each with noise of its own; ``own`` are cameras of another world."""
    result = {}
    for number, name in enumerate(OFFSET_S):
        world = heard_world(seconds, 16000, (own or {}).get(name, 0))
        at = OFFSET_S[name] + (1 + DRIFT[name]) * np.arange(int(seconds * RATE_HZ)) / RATE_HZ
        heard = np.interp(at + 5, np.arange(len(world)) / 16000, world)
        noise = np.random.default_rng(50 + number).normal(0, 0.02, len(at))
        result[name] = Sound((heard + noise).astype(np.float32), 0.0)
    return result


def test_offsets_and_drifts_of_a_minute() -> None:
    found = clocks_from_sound(sounds(60.0), dict.fromkeys(OFFSET_S, 0.0), 10.0)
    assert found is not None
    assert found.names == ("a", "b", "c")
    np.testing.assert_allclose(found.offset_s, list(OFFSET_S.values()), atol=2e-4)
    np.testing.assert_allclose(found.drift, list(DRIFT.values()), atol=3e-6)
    assert (found.std_s()[1:] < 1e-3).all()


def test_who_heard_something_else_is_left_out() -> None:
    found = clocks_from_sound(sounds(12.0, own={"b": 9}), dict.fromkeys(OFFSET_S, 0.0), 10.0)
    assert found is not None
    assert found.names == ("a", "c")
    assert clocks_from_sound(sounds(12.0, own={"b": 9, "c": 8}), dict.fromkeys(OFFSET_S, 0.0), 10.0) is None


def write_clip(path: Path, samples: np.ndarray, rate_hz: int, sound_late_s: float) -> None:
    """A clip of grey pictures whose sound begins later than they do."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=30)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        audio = container.add_stream("pcm_s16le", rate=rate_hz)
        audio.layout = "mono"
        for index in range(90):
            picture = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 90, np.uint8), format="rgb24")
            picture.pts, picture.time_base = index, Fraction(1, 30)
            container.mux(video.encode(picture))
        for start in range(0, len(samples) - 1024, 1024):
            block = (samples[None, start : start + 1024] * 20000).clip(-32000, 32000).astype(np.int16)
            frame = av.AudioFrame.from_ndarray(block, format="s16", layout="mono")
            frame.rate, frame.time_base = rate_hz, Fraction(1, rate_hz)
            frame.pts = start + round(sound_late_s * rate_hz)
            container.mux(audio.encode(frame))
        container.mux(video.encode(None))
        container.mux(audio.encode(None))


def test_sound_that_starts_after_the_picture_is_put_where_it_was(tmp_path: Path) -> None:
    world = heard_world(10.0, 16000)
    late = {"a": 0.0, "b": 0.25}
    offsets = {"a": 0.0, "b": 0.4}
    for name, later in late.items():
        first = round((5 + offsets[name] + later) * 16000)
        write_clip(tmp_path / f"{name}.mkv", world[first : first + 16000 * 8], 16000, later)
    heard = {name: listen(tmp_path / f"{name}.mkv") for name in late}
    assert all(heard.values())
    found = clocks_from_sound(heard, dict.fromkeys(late, 0.0), 10.0)
    assert found is not None
    # Matroska stores times in milliseconds.
    assert found.offset_s[1] == pytest.approx(0.4, abs=1.1e-3)


def estimate(source: str, offsets: dict[str, float], std_s: float) -> Estimate:
    count = len(offsets)
    std = np.concatenate([[0.0], np.full(count - 1, std_s), [0.0], np.full(count - 1, 1e-6)])
    return Estimate(
        tuple(offsets), np.array(list(offsets.values())), np.zeros(count), np.diag(std**2), source
    )


def test_sound_alone_sets_the_clocks_and_says_how_well() -> None:
    sound = estimate("sound", {"a": 0.0, "b": 0.7}, 1e-4)
    clock = find_clocks(Footage(["a", "b"], {}, sound=sound), SyncSettings())
    assert clock.cameras["b"].offset_s == pytest.approx(0.7)
    assert clock.cameras["b"].source == "sound"
    assert 0.002 < clock.cameras["b"].std_s < 0.005, "the way of the sound is not known"


@pytest.mark.parametrize("wrong", ["b", "c", "d"])
def test_sound_that_contradicts_the_motion_is_dropped_and_named(make_stage, actor_type, wrong: str) -> None:
    stage = make_stage(
        (actor_type(place=(-0.9, 0.0), speed=(0.3, 0.1)),), frames=150, rate_hz=30.0, noise_px=2
    )
    offsets = dict.fromkeys("abcd", 0.0) | {wrong: 0.5}
    made = Footage(
        list("abcd"),
        {name: Recorded(30.0) for name in "abcd"},
        stage.keypoints,
        stage.cameras,
        estimate("sound", offsets, 1e-4),
    )
    clock = find_clocks(made, SyncSettings())
    assert [one.camera for one in clock.evidence if not one.used] == [wrong]
    assert any(note.startswith(f"{wrong}: its sound contradicts the motion") for note in clock.notes)
    assert max(abs(own.offset_s) for own in clock.cameras.values()) < 0.003


def test_labels_of_a_clip() -> None:
    assert timecode_seconds("01:00:00:15", 30.0) == pytest.approx(3600.5)
    # SMPTE 12M: an hour of dropped numbers at 29.97 lasts an hour to 4 ms.
    assert timecode_seconds("01:00:00;00", 30000 / 1001) == pytest.approx(3600.0, abs=0.004)
    assert timecode_seconds("later", 30.0) is None
    assert from_labels({"timecode": "00:00:00:00"}, 30.0).start_s is None, "a counter that was never set"
    told = from_labels({"creation_time": "2024-05-01T10:00:03.000000Z"}, 30.0)
    assert told.source == "time of recording"
    assert told.std_s >= 1
    assert from_labels({"creation_time": "1904-01-01T00:00:00Z"}, 30.0).start_s is None


def test_timecode_counts_where_nothing_else_tells() -> None:
    labels = {
        "a": Recorded(25.0, 100.0, 0.08, "timecode"),
        "b": Recorded(25.0, 101.4, 0.08, "timecode"),
    }
    clock = find_clocks(Footage(["a", "b"], labels), SyncSettings())
    assert clock.cameras["b"].offset_s == pytest.approx(1.4)
    assert clock.cameras["b"].source == "timecode"
    seconds = {
        name: Recorded(25.0, start, 2.0, "time of recording") for name, start in (("a", 7.0), ("b", 8.0))
    }
    assert find_clocks(Footage(["a", "b"], seconds), SyncSettings()).cameras["b"].offset_s == 0.0
