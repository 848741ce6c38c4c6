"""The command line as its users meet it: exit codes, one line on stderr, nothing lost."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from mocap.cli import REFUSED, execute
from mocap.outcome import Outcome
from mocap.session import Session
from mocap.settings import Settings


@pytest.fixture
def session(tmp_path: Path) -> Session:
    return Session.create(tmp_path / "s")


def calibration(names: list[str], focal: float | str = 800.0) -> str:
    return "\n".join(
        f'[{name}]\nname = "{name}"\nsize = [64, 48]\nmatrix = [[{focal}, 0.0, 32.0], [0.0, {focal}, 24.0], '
        "[0.0, 0.0, 1.0]]\ndistortions = [0.0, 0.0, 0.0, 0.0]\nrotation = [0.0, 0.0, 0.0]\n"
        f"translation = [0.{index}, 0.0, 2.0]\nfisheye = false\n"
        for index, name in enumerate(names)
    )


def clip(path: Path) -> None:
    from mocap.video import ClipWriter

    with ClipWriter(path, (64, 48), 30.0) as writer:
        for _ in range(12):
            writer.write(np.full((48, 64, 3), 120, np.uint8))


def two_clips(session: Session) -> list[Path]:
    paths = [session.take("take1").folder / f"{name}.mp4" for name in ("cam1", "cam2")]
    for path in paths:
        clip(path)
    return paths


def refusal(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """The one line with which a command refuses."""
    before = {path: path.read_bytes() for path in Path(str(arguments[1])).rglob("*") if path.is_file()}
    assert execute([str(argument) for argument in arguments]) == REFUSED
    lines = capsys.readouterr().err.strip().split("\n")
    assert len(lines) == 1, lines
    after = {path: path.read_bytes() for path in before}
    assert after == before, "a refusal must lose and change nothing"
    return lines[0]


def test_no_such_session(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "none: no such session; make one with: mocap new" in refusal(capsys, "run", tmp_path / "none")


def test_empty_take(session: Session, capsys: pytest.CaptureFixture[str]) -> None:
    assert "take1: empty take; put one clip of each camera there" in refusal(capsys, "run", session.root)


def test_a_take_with_one_camera(session: Session, capsys: pytest.CaptureFixture[str]) -> None:
    clip(session.take("take1").folder / "cam1.mp4")
    session.cameras_file.write_text(calibration(["cam1", "cam2"]))
    assert "a take with one camera (cam1)" in refusal(capsys, "run", session.root)


def test_truncated_video(session: Session, capsys: pytest.CaptureFixture[str]) -> None:
    paths = two_clips(session)
    session.cameras_file.write_text(calibration(["cam1", "cam2"]))
    paths[1].write_bytes(paths[1].read_bytes()[: paths[1].stat().st_size // 2])
    assert "cam2.mp4" in refusal(capsys, "run", session.root)


def test_text_file_named_mp4(session: Session, capsys: pytest.CaptureFixture[str]) -> None:
    paths = two_clips(session)
    session.cameras_file.write_text(calibration(["cam1", "cam2"]))
    paths[0].write_text("this is no video\n" * 100)
    assert "cam1.mp4" in refusal(capsys, "run", session.root)


def test_cameras_of_other_names(session: Session, capsys: pytest.CaptureFixture[str]) -> None:
    two_clips(session)
    session.cameras_file.write_text(calibration(["left", "right"]))
    line = refusal(capsys, "run", session.root)
    assert all(name in line for name in ("cam1", "cam2", "left", "right"))


def test_footage_of_another_size_than_the_calibration(
    session: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    two_clips(session)
    session.cameras_file.write_text(calibration(["cam1", "cam2"]).replace("[64, 48]", "[1920, 1080]"))
    line = refusal(capsys, "run", session.root)
    assert "1920" in line
    assert "64" in line


def test_calibration_with_nan(session: Session, capsys: pytest.CaptureFixture[str]) -> None:
    two_clips(session)
    session.cameras_file.write_text(calibration(["cam1", "cam2"], focal="nan"))
    line = refusal(capsys, "run", session.root)
    assert "cameras.toml" in line
    assert "cam1" in line


def test_no_calibration(session: Session, capsys: pytest.CaptureFixture[str]) -> None:
    two_clips(session)
    assert "no calibrated cameras" in refusal(capsys, "run", session.root)


def test_newer_session_and_unknown_key(session: Session, capsys: pytest.CaptureFixture[str]) -> None:
    session.settings_file.write_text("version = 99\n")
    assert "version 99" in refusal(capsys, "run", session.root)
    session.settings_file.write_text("[detect]\nvariantt = 'x'\n")
    assert "unknown key 'variantt' in [detect]; valid: detector, variant" in refusal(
        capsys, "run", session.root
    )


def test_a_wrong_option_is_one_line(capsys: pytest.CaptureFixture[str], session: Session) -> None:
    assert "No such option" in refusal(capsys, "run", session.root, "--nothing")


def test_json_is_the_last_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["new", str(tmp_path / "n"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out.strip().split("\n")[-1])["session"] == str(tmp_path / "n")
    assert execute(["run", str(tmp_path / "none"), "--json"]) == REFUSED
    answer = json.loads(capsys.readouterr().out.strip().split("\n")[-1])
    assert answer["ok"] is False
    assert "no such session" in answer["error"]


def test_ctrl_c_is_130(
    session: Session, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("mocap.pipeline.run", interrupted)
    assert execute(["run", str(session.root)]) == 130
    assert "run the same command again to go on" in capsys.readouterr().err


def test_a_fault_of_ours_is_one_line_and_a_traceback_on_request(
    session: Session, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("wires crossed")

    monkeypatch.setattr("mocap.pipeline.run", broken)
    assert execute(["run", str(session.root)]) == 1
    assert "Traceback" not in capsys.readouterr().err
    assert execute(["run", str(session.root), "--verbose"]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_cameras_converts_into_a_session_and_refuses_to_replace(
    session: Session, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "calib.toml"
    source.write_text(calibration(["a", "b"]))
    assert execute(["cameras", str(source), str(session.root)]) == 0
    assert session.load_cameras().names == ("a", "b")
    capsys.readouterr()
    assert "is there already" in refusal(capsys, "cameras", source, session.root)
    assert execute(["cameras", str(source), str(session.root), "--force"]) == 0
    assert execute(["cameras", str(session.root)]) == 0
    assert "800" in capsys.readouterr().out


def test_board_writes_a_pdf(tmp_path: Path) -> None:
    assert execute(["board", "--out", str(tmp_path / "b.pdf")]) == 0
    assert (tmp_path / "b.pdf").read_bytes().startswith(b"%PDF")


def test_a_board_is_tiled_as_asked(tmp_path: Path) -> None:
    def made(*options: str) -> bytes:
        assert execute(["board", "--out", str(tmp_path / "b.pdf"), *options]) == 0
        return (tmp_path / "b.pdf").read_bytes()

    def pages(pdf: bytes) -> int:
        return len(re.findall(rb"/Type\s*/Page\b", pdf))

    assert pages(made("--page", "A4")) > pages(made("--page", "A3"))
    assert made("--overlap", "20") != made()
    assert pages(made("--overlap", "60")) > pages(made())


def test_the_numbers_of_a_boards_markers_are_a_setting(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    board = ["board", "--out", str(tmp_path / "b.pdf"), "--set", "board.type=aruco"]
    board += ["--set", "board.columns=2", "--set", "board.rows=1"]
    assert execute([*board, "--set", "board.marker_ids=[7, 9]", "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["marker_ids"] == [7, 9]
    assert "marker_ids names 3 markers" in refusal(capsys, *board, "--set", "board.marker_ids=[1, 2, 3]")


@pytest.mark.parametrize(
    ("told", "wanted"),
    [
        ("cam1 cam2=2.35", {"cam1 cam2": 2.35}),
        ("left door cam2 = 2", {"left door cam2": 2.0}),
    ],
)
def test_distances_are_passed_on(
    monkeypatch: pytest.MonkeyPatch, session: Session, told: str, wanted: dict[str, float]
) -> None:
    asked: list[dict[str, float]] = []

    def solve(session: Session, settings: Settings, progress: object) -> Outcome:
        asked.append(settings.world.distances_m)
        return Outcome()

    monkeypatch.setattr("mocap.camera_stages.calibrate_from_board", solve)
    monkeypatch.setattr(Session, "clips", lambda *_: {"cam1": Path("cam1.mp4")})
    assert execute(["calibrate", str(session.root), "--distance", told]) == 0
    assert asked == [wanted]
    assert execute(["calibrate", str(session.root), "--distance", "cam1 cam2"]) == 2
