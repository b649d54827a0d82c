#!/bin/sh
# Build sdist and wheel, check both, install the wheel alone into a fresh environment and run the demo with it.
# PYTHON: a Python with `build` and `packaging`. BUILD: an output folder, which is replaced.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
python=${PYTHON:-python3}
out=${BUILD:-build/release}

rm -rf "$out"
"$python" -m build --quiet --outdir "$out/dist" "$here/.."
"$python" "$here/check_release.py" "$out"/dist/*

# The sources lie outside the folder in which the demo runs: only the wheel can be imported.
"$python" -m venv "$out/venv"
"$out/venv/bin/python" -m pip --disable-pip-version-check --quiet install "$out"/dist/*.whl
cp -R "$here/../configs/demo" "$out/demo"
derlem=$(cd "$out/venv/bin" && pwd)/derlem
cd "$out/demo"
DERLEM="$derlem" sh demo.sh
ls -l ../dist
