#!/usr/bin/env bash
# Question: what does a hand-over to the copy workers cost the decode thread, against a bare unpark of
# a parked thread, in turns within one run? Prints machine, command and both distributions.
set -euo pipefail
cd "$(dirname "$0")/.."
echo "machine: $(lscpu | sed -n 's/^Model name: *//p'), $(nproc) processors, Linux $(uname -r)"
echo "command: cargo test --release -p vas -- --ignored --nocapture measure_handover"
cargo test --quiet --locked --release -p vas -- --ignored --nocapture measure_handover 2>&1 |
    grep -E 'unpark|tap|dropped'
