"""Every command of the README is run: here, or by name in .ci/run."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    found = re.findall(rf"^( *)```{language}\n(.*?)^\1```", README, flags=re.MULTILINE | re.DOTALL)
    return ["\n".join(line.removeprefix(indent) for line in text.split("\n")) for indent, text in found]


def commands() -> list[str]:
    return [line.strip() for block in blocks("console") for line in block.split("\n") if line.strip()]


def test_make_targets_of_the_readme_are_run_by_ci() -> None:
    targets = [command for command in commands() if command.startswith("make ")]
    assert targets == ["make demo", "make test"]
    ci = (ROOT / ".ci" / "run").read_text().split("\n")
    assert all(any(line.startswith(target) for line in ci) for target in targets)


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the footage that the README's reader is assumed to have."""
    from mocap.virtual.demo import render_session

    folder = tmp_path_factory.mktemp("desk")
    render_session(folder / "rendered", cameras=3, seconds=1.0, seed=3, size_px=(960, 540))
    rendered = folder / "rendered"
    take = next((rendered / "takes").iterdir())
    shutil.copytree(rendered / "calibration" / "extrinsics", folder / "footage" / "board")
    shutil.copytree(take, folder / "footage" / "walk", ignore=shutil.ignore_patterns(".*"))
    return folder


def test_the_commands_do_what_the_readme_says(desk: Path) -> None:
    script = ["set -e", f'export PATH="{Path(sys.executable).parent}:$PATH"']
    script += [command for command in commands() if not command.startswith(("make ", "export "))]
    bring = next(index for index, line in enumerate(script) if line.startswith("mocap cameras"))
    script.insert(bring, "cp stage1/cameras.toml footage/calibration_of_another_tool.toml")
    done = subprocess.run(
        ["bash", "-c", "\n".join(script)], cwd=desk, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr + done.stdout
    exports = sorted(path.name for path in (desk / "stage1" / "takes" / "walk" / "export").iterdir())
    assert exports == ["person1.bvh", "person1.fbx", "person1.glb", "person1.npz", "person1.trc"]
    for example in blocks("python"):
        subprocess.run([sys.executable, "-c", example], cwd=desk, check=True)


def test_the_files_that_the_house_names_exist() -> None:
    house = README[README.index("## The house") :]
    paths = [path for path in re.findall(r"`([\w./]+)`", house) if "/" in path]
    assert paths
    assert [path for path in paths if not (ROOT / path).exists()] == []
    tables = re.findall(r"`([A-Z_]+)` in `([\w./]+)`", house)
    assert [name for name, path in tables if f"{name}" not in (ROOT / path).read_text()] == []
