#!/usr/bin/env bash
# Tests the producer against MediaSoup's own worker and Debian's Janus, with viewers that decode, including Chromium.
# What it needs besides Debian's packages (scripts/setup.sh mediasoup) is built once and kept in
# ~/.cache/vas-mediasoup, by version.
#
#   tests/mediasoup/run.sh [test_mediasoup.Streams.test_...]
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cache=${VAS_MEDIASOUP_CACHE:-$HOME/.cache/vas-mediasoup}/3.15.8
mkdir -p "$cache"
export MEDIASOUP_WORKER_BIN
MEDIASOUP_WORKER_BIN=$("$here/build-worker.sh" "$cache")
export VAS_MEDIASOUP=$cache/node-$(sha256sum "$here/package-lock.json" | cut -c1-12)
if [ ! -d "$VAS_MEDIASOUP/node_modules/mediasoup" ]; then
    mkdir -p "$VAS_MEDIASOUP"
    cp "$here/package.json" "$here/package-lock.json" "$VAS_MEDIASOUP"
    # No install scripts: they would fetch a worker from elsewhere.
    npm ci --prefix "$VAS_MEDIASOUP" --ignore-scripts --no-audit --no-fund
fi
python=$cache/python-$(sha256sum "$here/requirements.txt" | cut -c1-12)
if [ ! -x "$python/bin/done" ]; then
    rm -rf "$python"
    python3 -m venv "$python"
    "$python/bin/pip" install --quiet --disable-pip-version-check -r "$here/requirements.txt"
    ln -s python "$python/bin/done"
fi
cd "$here"
tests=("$@")
[ $# -gt 0 ] || tests=(test_mediasoup test_browser test_janus)
PYTHONDONTWRITEBYTECODE=1 exec "$here/../../scripts/ran" "$python/bin/python" -W ignore -m unittest -v "${tests[@]}"
