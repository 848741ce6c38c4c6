import tomllib
from pathlib import Path

import pytest

from mocap.errors import ConfigError
from mocap.session import settings_text
from mocap.settings import Settings, field_docs, settings_from, with_overrides


def parsed(text: str) -> Settings:
    table = tomllib.loads(text)
    return settings_from(
        {key: value for key, value in table.items() if isinstance(value, dict)}, where="x.toml"
    )


def test_the_text_of_settings_reads_back_as_they_were() -> None:
    overrides = [
        "fit.max_iterations=7",
        "detect.variant=lite",
        'export.formats=["bvh", "npz"]',
        "board.inverted=true",
    ]
    settings = with_overrides(Settings(), [*overrides, "sync.offsets_s={cam1 = -0.25}"])
    assert parsed(settings_text('the "one"', settings)) == settings
    assert parsed(settings_text("plain", Settings())) == Settings()


def test_every_setting_stands_in_the_text_with_its_explanation() -> None:
    text = settings_text("any", Settings())
    for section, node in vars(Settings()).items():
        assert f"[{section}]" in text
        docs = field_docs(type(node))
        assert set(docs) == set(vars(node)), f"a setting of [{section}] lacks its line of explanation"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[fitt]\n", "unknown key 'fitt'; valid: board,"),
        ("[fit]\nmax_iteration = 3\n", r"unknown key 'max_iteration' in \[fit\]; valid: .*max_iterations"),
        ("[fit]\nmax_iterations = 'many'\n", "fit.max_iterations must be a int, not 'many'"),
        ("[detect]\nmirror = 1\n", "detect.mirror must be a bool"),
        ("[board]\ncolumns = true\n", "board.columns must be a int, not True"),
    ],
)
def test_what_is_wrong_is_named(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        parsed(text)
    assert "x.toml" in str(caught.value)


def test_whole_numbers_pass_as_floats() -> None:
    assert parsed("[board]\nsquare_m = 1\n").board.square_m == 1.0


@pytest.mark.parametrize(
    "override", ["fit", "fit=3", "nothing.x=1", "fit.nothing=1", "fit.max_iterations=few"]
)
def test_a_wrong_override_is_refused(override: str) -> None:
    with pytest.raises(ConfigError):
        with_overrides(Settings(), [override])


def test_overrides_keep_the_rest_of_their_section(tmp_path: Path) -> None:
    first = with_overrides(Settings(), ["detect.variant=full"])
    both = with_overrides(first, ["detect.mirror=false"])
    assert (both.detect.variant, both.detect.mirror) == ("full", False)
