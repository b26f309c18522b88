#!/usr/bin/env bash
# Builds MediaSoup's worker from npm, crates.io and Debian packages, into a folder; prints its path. About 10
# minutes on two cores, once. For tests only: it links Debian's libsrtp2 in place of MediaSoup's own fork.
#
# OpenSSL is 3.0.8, from the crate openssl-src: with Debian's 3.0.22 the first DTLS handshake crashes the
# worker.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
version=3.15.8
dir=${1:?a folder}
worker=$dir/build/mediasoup-worker
if [ ! -x "$worker" ]; then
    {
        mkdir -p "$dir"
        cd "$dir"
        [ -d package/worker ] || { npm pack "mediasoup@$version" && tar xzf "mediasoup-$version.tgz"; }
        if [ ! -f ossl/libssl.a ]; then
            rm -rf fetch ossl
            cargo init -q --vcs none --name fetch fetch
            echo 'openssl-src = "=300.0.13"' >>fetch/Cargo.toml
            (cd fetch && cargo vendor -q vendor >/dev/null)
            cp -r fetch/vendor/openssl-src/openssl ossl
            (cd ossl && ./Configure linux-x86_64 no-shared no-tests && make -j"$(nproc)" build_libs)
        fi
        cmake -G Ninja -S "$here" -B build -DWORKER_DIR="$dir/package/worker" -DOSSL="$dir/ossl"
        ninja -C build
    } >"$dir.log" 2>&1 || { tail -30 "$dir.log" >&2; exit 1; }
fi
echo "$worker"
