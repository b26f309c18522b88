#!/usr/bin/env bash
# How many instructions does a decision of the gate take, on every path? Fails above 40.
set -euo pipefail
cd "$(dirname "$0")/.."
most=40
times=1000
cargo build --locked --release -p vas-bench --bin decisions
program=${CARGO_TARGET_DIR:-target}/release/decisions
worst=0
printf '%-16s %s\n' decision instructions
for case in unlimited invalid_limit first_frame old_epoch same_frame time_went_back new_timeline too_soon stride elapsed \
    elapsed+slow elapsed+full elapsed+overfull elapsed+epoch second_full; do
    said=$(valgrind --tool=callgrind --callgrind-out-file=/dev/null --collect-atstart=no \
        --toggle-collect='*one_decision*' "$program" "$case" "$times" 2>&1)
    collected=$(sed -n 's/^.*Collected : *//p' <<<"$said")
    if [ -z "$collected" ] || [ "$collected" -lt "$times" ]; then
        echo "gate_instructions: callgrind saw no decision: $said" >&2
        exit 1
    fi
    each=$((collected / times))
    printf '%-16s %s\n' "$case" "$each"
    worst=$((each > worst ? each : worst))
done
if [ "$worst" -gt "$most" ]; then
    echo "gate_instructions: $worst instructions, expected at most $most" >&2
    exit 1
fi
