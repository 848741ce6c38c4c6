"""The floors of the house, and what must not be loaded when only help is asked for."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MAY_IMPORT = {
    "calibration": {"calibration"},
    "rigs": {"rigs"},
    "exporters": {"exporters", "rigs", "calibration"},
    "mocap": {"mocap", "exporters", "rigs", "calibration"},
}
HEAVY = ("torch", "cv2", "open3d", "scipy", "av", "ai_edge_litert", "smplx")
ONLY_IN = {
    "cv2": ("calibration/", "mocap/"),
    "open3d": ("mocap/virtual/", "mocap/overlay.py", "rigs/bake", "rigs/default_body.py"),
    "smplx": ("rigs/body.py",),
    "anny": ("rigs/bake", "rigs/default_body.py"),
}


def imported(source: str) -> set[str]:
    """Top-level names of the packages that a module imports, wherever in it."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:  # a relative import stays in its package
            names.add((node.module or "").split(".")[0])
    return names


def upward(package: str, source: str) -> set[str]:
    """Packages of ours that a module of ``package`` imports and must not."""
    return (imported(source) & set(MAY_IMPORT)) - MAY_IMPORT[package]


def sources() -> list[tuple[str, Path]]:
    return [(package, path) for package in MAY_IMPORT for path in sorted((ROOT / package).rglob("*.py"))]


@pytest.mark.parametrize(
    ("package", "path"), sources(), ids=lambda value: str(value).removeprefix(f"{ROOT}/")
)
def test_a_package_imports_only_from_floors_below(package: str, path: Path) -> None:
    assert not upward(package, path.read_text())


def test_the_floor_check_sees_a_violation() -> None:
    assert upward("rigs", "def f():\n    from calibration.cameras import Cameras\n") == {"calibration"}
    assert upward("calibration", "import mocap.video") == {"mocap"}


@pytest.mark.parametrize("library", ONLY_IN)
def test_libraries_stay_where_they_belong(library: str) -> None:
    users = [
        path.relative_to(ROOT).as_posix() for _, path in sources() if library in imported(path.read_text())
    ]
    assert [user for user in users if not user.startswith(ONLY_IN[library])] == []


def test_no_file_without_a_concept_in_its_name() -> None:
    homeless = {"utils", "util", "helpers", "common", "misc", "shared"}
    assert [path for _, path in sources() if path.stem in homeless] == []


def modules_after(statement: str) -> set[str]:
    code = f"import sys\n{statement}\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return {name.split(".")[0] for name in done.stdout.split("\n")[-2].split()}


def test_help_loads_nothing_heavy() -> None:
    help_text = "from mocap.cli import execute\nassert execute(['--help']) == 0"
    assert not modules_after(help_text) & set(HEAVY)


def test_the_check_of_heavy_imports_sees_one() -> None:
    assert "torch" in modules_after("import torch")


def test_everything_but_the_users_own_bodies_works_without_smplx() -> None:
    blocked = (
        "import sys\nsys.modules['smplx'] = None\n"
        "import mocap.cli, mocap.pipeline, mocap.calibrate, mocap.reconstruct, mocap.fit, mocap.detect\n"
        "import exporters, mocap.virtual.demo\nfrom rigs import load_body\nload_body('default')"
    )
    assert "rigs" in modules_after(blocked)


def test_no_registry_or_machine_is_named() -> None:
    # Split so that this file does not name them either.
    banned = ["py" + "pi.org", "npm" + "js.org", "python" + "hosted.org", "registry." + "npm", "/work" + "/"]
    tracked = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split("\n")
    texts = {name: (ROOT / name).read_bytes() for name in tracked if name and (ROOT / name).is_file()}
    assert [(name, word) for name, text in texts.items() for word in banned if word.encode() in text] == []
