from __future__ import annotations

import pytest

from exporters import EXPORTERS, TARGETS, ExportError, format_options, target
from rigs.rig_names import available_rigs


@pytest.mark.parametrize("name", TARGETS)
def test_targets_name_what_there_is(name: str) -> None:
    found = target(name)
    assert found.format in EXPORTERS
    assert found.rig in available_rigs()
    for format, options in found.options.items():
        assert set(options) <= set(format_options(format))


def test_unknown_targets_list_the_known() -> None:
    with pytest.raises(ExportError, match="no target 'paint'; choose one of blender, unreal, unity"):
        target("paint")
