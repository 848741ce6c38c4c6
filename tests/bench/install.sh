#!/usr/bin/env bash
# Installs Caliscope into .venv-bench, an environment of its own: the benchmark compares with its solver.
set -euo pipefail
cd "$(dirname "$0")/../.."
if [ -e .venv-bench/installed ]; then
  exit 0
fi
if "${PYTHON:-python3}" -m venv .venv-bench && .venv-bench/bin/pip install --quiet "caliscope==0.11.8"; then
  touch .venv-bench/installed
else
  echo "Caliscope could not be installed: the benchmark goes on without it." >&2
fi
