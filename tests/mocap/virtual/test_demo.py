"""The demo's own words and refusals; the whole run is `make demo`."""

import math
from pathlib import Path

import pytest

from mocap.errors import InputError
from mocap.virtual.compare import Figure
from mocap.virtual.demo import DemoSummary, demo, demo_studio, render_session

FIGURES = (Figure("limb joints, mean", 14.2, "mm", 25.0), Figure("2D", 5.0, "px"))


def test_a_summary_says_what_passed_and_what_failed() -> None:
    good = DemoSummary(FIGURES, Path("demo.png"), (Path("a/person1.bvh"),))
    assert good.passed
    assert "ok" in good.text()
    assert good.report()["files"] == ["person1.bvh"]
    bad = DemoSummary((*FIGURES, Figure("BVH", math.inf, "mm", 0.05)), Path("demo.png"), ())
    assert not bad.passed
    assert "FAILED" in bad.text()


def test_too_little_to_film_is_refused() -> None:
    with pytest.raises(InputError, match="1 cameras"):
        demo(Path("nowhere"), cameras=1)


def test_a_folder_with_another_session_is_left_alone(tmp_path) -> None:
    (tmp_path / "session.toml").write_text("mine")
    with pytest.raises(InputError, match="another"):
        render_session(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["session.toml"]


def test_a_seed_changes_cameras_and_few_cameras_stand_on_one_side() -> None:
    assert demo_studio() == demo_studio()
    assert demo_studio(seed=1).cameras().centers_world.ne(demo_studio().cameras().centers_world).any()
    apart = demo_studio(cameras=2).cameras().centers_world
    assert (apart[0] - apart[1]).norm() < 5.0
