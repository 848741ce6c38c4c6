#!/usr/bin/env bash
# Builds .venv with everything that the program and its tests need. Called by the Makefile.
set -euo pipefail
cd "$(dirname "$0")"
PYTHON=${PYTHON:-python3}

"$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
	{ echo "Python 3.11 or newer is needed, $PYTHON is $("$PYTHON" --version); try: make PYTHON=python3.11" >&2; exit 1; }

# System libraries that OpenCV and Open3D link against, by Debian package. Only the missing ones are installed.
declare -A packages=([libGL.so.1]=libgl1 [libglib-2.0.so.0]=libglib2.0-0 [libusb-1.0.so.0]=libusb-1.0-0
	[libgomp.so.1]=libgomp1 [libX11.so.6]=libx11-6 [libEGL.so.1]=libegl1)
missing=()
for library in "${!packages[@]}"; do
	"$PYTHON" -c "import ctypes; ctypes.CDLL('$library')" 2>/dev/null || missing+=("${packages[$library]}")
done
"$PYTHON" -c 'import ensurepip' 2>/dev/null || missing+=(python3-venv)
if [ ${#missing[@]} -gt 0 ]; then
	sudo=$([ "$(id -u)" = 0 ] || echo sudo)
	if ! { command -v apt-get >/dev/null && { [ -z "$sudo" ] || sudo -n true 2>/dev/null; } &&
		$sudo apt-get update -qq && $sudo apt-get install -y -qq "${missing[@]}" >/dev/null; }; then
		echo "system libraries are missing; install them with: apt-get install ${missing[*]}" >&2
		exit 1
	fi
fi

[ -x .venv/bin/python ] || "$PYTHON" -m venv .venv
pip() { .venv/bin/python -m pip --disable-pip-version-check install --quiet "$@"; }
# One version of torch first: with it in place no other package asks for the newest build with its CUDA libraries.
.venv/bin/python -c 'import torch' 2>/dev/null || pip "torch==2.13.0" || pip torch
pip --editable '.[smpl,formats,notebooks,bench,dev]'
