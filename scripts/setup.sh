#!/usr/bin/env bash
# Installs from Debian 12 or 13 what is missing for one purpose. Quick, and without root, if nothing is.
#
#   scripts/setup.sh build    FFmpeg's libraries, clang, a C toolchain
#   scripts/setup.sh wheel    the same, and Python's venv
#   scripts/setup.sh demo     the same, ffmpeg and the RTSP server
#   scripts/setup.sh test     the same, numpy, procps, strace, valgrind, an aarch64 compiler and QEMU for the reader in C,
#                             mmdebstrap, and cargo-fuzz, which Cargo builds
#   scripts/setup.sh lint     what `test` takes from Debian, and cargo-deny, which Cargo builds
#   scripts/setup.sh bench    the same, a recording, GStreamer's tools and OpenCV
#   scripts/setup.sh containers   the same as `test`, buildah and podman
#   scripts/setup.sh mediasoup    what `demo` takes, and what MediaSoup's worker is built from and driven with
set -euo pipefail

build=(build-essential pkg-config clang libclang-dev
    libavcodec-dev libavdevice-dev libavfilter-dev libavformat-dev libavutil-dev libswscale-dev)
demo=(ffmpeg python3-gi gir1.2-gst-rtsp-server-1.0 gstreamer1.0-rtsp
    gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-bad)
# procps: kill(1), with which the tests send signals.
# mmdebstrap: scripts/in-debian, which scripts/test-aarch64 runs in. python3-venv: scripts/check-ptx.
test=(python3-numpy python3-venv procps strace valgrind gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user
    clang-format mmdebstrap zstd)
# opencv-doc: a recording of real pictures (96 MB). The others are what bench/peers compares with.
bench=(opencv-doc gstreamer1.0-tools gstreamer1.0-libav python3-gst-1.0 python3-opencv)
mediasoup=(cmake ninja-build libuv1-dev libsrtp2-dev libusrsctp-dev libabsl-dev libflatbuffers-dev
    flatbuffers-compiler python3-venv chromium)
# Debian's, unless another is installed: another nodejs package includes npm.
command -v npm >/dev/null || mediasoup+=(nodejs npm)
# Debian 13 has no janus: tests/mediasoup/test_janus.py runs only on Debian 12.
suite=$(. /etc/os-release 2>/dev/null && echo "${VERSION_CODENAME:-}" || true)
[ "$suite" = trixie ] || mediasoup+=(janus)
containers=(buildah podman crun)
cargo_fuzz=0.13.2
cargo_deny=0.20.2

case "${1:-}" in
build) wanted=("${build[@]}") ;;
wheel) wanted=("${build[@]}" python3-venv) ;;
demo) wanted=("${build[@]}" "${demo[@]}") ;;
test | lint) wanted=("${build[@]}" "${demo[@]}" "${test[@]}") ;;
bench) wanted=("${build[@]}" "${demo[@]}" "${test[@]}" "${bench[@]}") ;;
containers) wanted=("${build[@]}" "${demo[@]}" "${test[@]}" "${containers[@]}") ;;
mediasoup) wanted=("${build[@]}" "${demo[@]}" "${mediasoup[@]}") ;;
*)
    echo "usage: scripts/setup.sh build|wheel|demo|test|lint|bench|containers|mediasoup" >&2
    exit 2
    ;;
esac

# The oldest Rust that the workspace builds with.
rust=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' "$(dirname "$0")/../Cargo.toml")
if ! command -v cargo >/dev/null; then
    echo "setup: cargo is not on PATH. Install Rust $rust or later (https://rustup.rs)," >&2
    echo "setup: or add its folder: export PATH=\"\$HOME/.cargo/bin:\$PATH\"" >&2
    exit 1
fi
found=$(rustc --version | cut -d' ' -f2)
if [ "$(printf '%s\n' "$rust" "$found" | sort -V | head -1)" != "$rust" ]; then
    echo "setup: rustc is $found; Rust $rust or later is needed. Take it from https://rustup.rs, or on Debian 13" >&2
    echo "setup: from its backports: apt install -t trixie-backports cargo" >&2
    exit 1
fi

if ! command -v dpkg-query >/dev/null; then
    echo "setup: this is not Debian or a relative; install the equivalents of these packages yourself:" >&2
    echo "setup: ${wanted[*]}" >&2
    exit 1
fi

# dpkg-query fails for an unknown package, and prints nothing for it on stdout.
installed=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' "${wanted[@]}" 2>/dev/null || true)
missing=()
for package in "${wanted[@]}"; do
    if ! grep -qxF "installed $package" <<<"$installed"; then
        missing+=("$package")
    fi
done

install_missing() {
    local as_root=()
    if [ "$(id -u)" -ne 0 ]; then
        if ! command -v sudo >/dev/null; then
            echo "setup: these packages are missing, and installing them needs root or sudo:" >&2
            echo "setup: ${missing[*]}" >&2
            exit 1
        fi
        as_root=(sudo)
    fi

    echo "setup: installing ${missing[*]}"
    local apt=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive
        apt-get -qq -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3)
    "${apt[@]}" update
    "${apt[@]}" install --yes --no-install-recommends "${missing[@]}" >/dev/null

    left=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' "${wanted[@]}" | grep -cvx 'installed .*' || true)
    if [ "$left" -ne 0 ]; then
        echo "setup: $left of the packages are still not installed: ${missing[*]}" >&2
        exit 1
    fi
}

if [ ${#missing[@]} -ne 0 ]; then
    install_missing
fi

# Debian has no cargo-fuzz; it takes half a minute, once.
if [ "$1" = test ] && ! command -v cargo-fuzz >/dev/null; then
    echo "setup: installing cargo-fuzz $cargo_fuzz"
    cargo install --quiet --locked "cargo-fuzz@$cargo_fuzz"
fi

# Debian has no cargo-deny either. Unoptimized it builds in 145 s of processor time instead of 308, and checks in 2 s.
if [ "$1" = lint ] && ! command -v cargo-deny >/dev/null; then
    echo "setup: installing cargo-deny $cargo_deny (a minute or two)"
    cargo install --quiet --locked --debug "cargo-deny@$cargo_deny"
fi
