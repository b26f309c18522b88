#!/usr/bin/env bash
# Tests the Python package against the real service, and checks its types.
#
#   tests/python/run.sh [test_camera.Reading.test_...]
#   tests/python/run.sh --venv      only makes the environment, and prints its interpreter
#   tests/python/run.sh --wheel     only builds the wheel, in target/wheels, and prints its path
#   tests/python/run.sh --installed the tests with the wheel installed in an environment that has never seen this repository
#
# What it needs from PyPI is installed once and kept in ~/.cache/vas-python, by interpreter and requirements.
# The newer interpreters that are found run the same tests.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
target=$(realpath -m "${CARGO_TARGET_DIR:-$root/target}")
cache=${VAS_PYTHON_CACHE:-$HOME/.cache/vas-python}

# Makes an environment of an interpreter with a file of requirements; prints its interpreter.
environment() {
    local python=$1 requirements=$2 folder
    folder=$cache/$("$python" -c 'import sys; print("%d.%d.%d" % sys.version_info[:3])')-$(sha256sum "$requirements" | cut -c1-12)
    if [ ! -e "$folder/done" ]; then
        rm -rf "$folder"
        "$python" -m venv "$folder"
        "$folder/bin/pip" install --quiet --disable-pip-version-check --require-hashes -r "$requirements"
        touch "$folder/done"
    fi
    echo "$folder/bin/python"
}

main=$(environment /usr/bin/python3 "$here/requirements.txt")
if [ "${1:-}" = --venv ]; then
    echo "$main"
    exit
fi

build_wheel() {
    local maturin
    maturin=$(dirname "$(environment /usr/bin/python3 "$here/build.txt")")/maturin
    mkdir -p "$target/wheels"
    rm -f "$target"/wheels/vas_frames-*.whl
    # The tag states the oldest glibc that has all symbols used: Rust's standard library needs 2.34 of this toolchain's.
    "$maturin" build --quiet --locked --release --manifest-path "$root/src/python/Cargo.toml" --out "$target/wheels" >&2
    ls "$target"/wheels/vas_frames-*.whl
}

if [ "${1:-}" = --wheel ]; then
    build_wheel
    exit
fi

cargo build --locked --quiet --manifest-path "$root/Cargo.toml" -p vas -p vas-replay -p vas-python
"$root/scripts/sim-gpu.sh" >/dev/null
if [ "${1:-}" = --installed ]; then
    shift
    wheel=$(build_wheel)
    fresh=$(mktemp -d)
    trap 'rm -rf "$fresh"' EXIT
    /usr/bin/python3 -m venv "$fresh"
    "$fresh/bin/pip" install --quiet --disable-pip-version-check "$wheel" "$(grep -o '^opencv-python-headless==[0-9.]*' "$here/requirements.txt")"
    cd "$here"
    tests=("$@")
    [ $# -gt 0 ] || tests=(discover)
    VAS_TARGET=$target PYTHONDONTWRITEBYTECODE=1 "$root/scripts/ran" "$fresh/bin/python" -m unittest "${tests[@]}"
    exit
fi
# The package as it is installed: the modules of Python, and the one of Rust beside them.
package=$target/python
rm -rf "$package"
mkdir -p "$package"
cp -r "$root/src/python/python/vas_frames" "$package"
cp "$target/debug/libvas_frames.so" "$package/vas_frames/_native.abi3.so"
export PYTHONPATH=$package PYTHONDONTWRITEBYTECODE=1 VAS_TARGET=$target

echo "python: types"
(cd "$package" && MYPYPATH=$package "$main" -m mypy --strict --python-version 3.11 --cache-dir "$cache/mypy" vas_frames)
(cd "$package" && "$main" -m mypy.stubtest --allowlist "$here/stubtest-allowed.txt" vas_frames)

cd "$here"
tests=("$@")
[ $# -gt 0 ] || tests=(discover)
echo "python: tests with $("$main" --version)"
"$root/scripts/ran" "$main" -X faulthandler -m unittest "${tests[@]}"
for version in 3.12 3.13; do
    found=
    # pyenv has a command for each version that it knows, also for those that don't run here.
    for candidate in "python$version" ~/.pyenv/versions/"$version".*/bin/"python$version"; do
        if "$candidate" -c '' 2>/dev/null; then
            found=$candidate
            break
        fi
    done
    if [ -z "$found" ]; then
        echo "python: not tried with Python $version: no interpreter here"
        continue
    fi
    python=$(environment "$found" "$here/requirements.txt")
    echo "python: tests with $("$python" --version)"
    "$root/scripts/ran" "$python" -X faulthandler -m unittest "${tests[@]}"
done
