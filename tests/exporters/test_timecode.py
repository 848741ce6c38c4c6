from __future__ import annotations

import pytest

from exporters import ExportError, Timecode

FILM, NTSC, FAST = 24000 / 1001, 30000 / 1001, 60000 / 1001


@pytest.mark.parametrize(
    ("text", "rate_hz", "frame"),
    [
        ("00:00:00:00", 30, 0),
        ("01:00:00:00", 30, 108000),
        ("01:00:00:00", FILM, 86400),
        ("00:00:59;29", NTSC, 1799),
        ("00:01:00;02", NTSC, 1800),  # two numbers are left out
        ("00:10:00;00", NTSC, 17982),  # and none in the tenth minute
        ("01:00:00;00", NTSC, 107892),
        ("23:59:59;29", NTSC, 2589407),
        ("00:01:00;04", FAST, 3600),
    ],
)
def test_frames_and_text(text: str, rate_hz: float, frame: int) -> None:
    timecode = Timecode.parse(text, rate_hz)
    assert timecode.frame == frame
    assert str(timecode) == text


def test_drop_frame_never_writes_a_number_twice_and_keeps_to_the_clock() -> None:
    start = Timecode.parse("00:00:00;00", NTSC)
    texts = [str(start + frame) for frame in range(40000)]
    assert len(set(texts)) == len(texts)
    assert [Timecode.parse(text, NTSC).frame for text in texts[::37]] == list(range(0, 40000, 37))
    hours, minutes, seconds, frames = map(int, texts[36000].replace(";", ":").split(":"))
    shown_s = hours * 3600 + minutes * 60 + seconds + frames / 30
    assert shown_s == pytest.approx(36000 / NTSC, abs=0.07)


@pytest.mark.parametrize(
    ("text", "rate_hz"),
    [("one", 30), ("00:00:00:30", 30), ("00:61:00:00", 30), ("00:01:00;00", NTSC), ("00:00:00;00", 30)],
)
def test_what_does_not_occur(text: str, rate_hz: float) -> None:
    with pytest.raises(ExportError, match="timecode"):
        Timecode.parse(text, rate_hz)
