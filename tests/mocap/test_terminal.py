import pytest

from mocap import terminal
from mocap.terminal import ProgressLine, as_text


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(terminal.time, "monotonic", lambda: now[0])
    return now


def test_a_log_gets_a_line_in_ten_seconds_and_one_at_the_end(
    clock: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    progress = ProgressLine()
    for second in range(31):
        clock[0] = 100.0 + second
        progress("detect", 2.0 * second, 60.0)
    progress("detect", 60.0, 60.0)
    lines = capsys.readouterr().err.strip().split("\n")
    assert lines == [
        "detect: 20 of 60, 2/s, 20 s left",
        "detect: 40 of 60, 2/s, 10 s left",
        "detect: 60 of 60, 2/s",
    ]


def test_work_that_was_resumed_counts_only_what_is_done_now(
    clock: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    progress = ProgressLine()
    progress("detect", 1000.0, 2000.0)
    clock[0] += 20.0
    progress("detect", 1100.0, 2000.0)
    assert capsys.readouterr().err == "detect: 1100 of 2000, 5/s, 3 min 0 s left\n"


def test_a_table_has_aligned_columns() -> None:
    rows = [{"name": "a", "works": True, "size": 1.23456}, {"name": "longer", "works": False, "size": None}]
    assert as_text(rows) == "name    works  size\na       yes    1.235\nlonger  no"
    assert as_text([]) == "none"
