#!/usr/bin/env bash
# Runs the fuzz targets with cargo-fuzz, each starting from its corpus.
#
#   tests/fuzz/run.sh short some thousand runs of each target: part of make test tests/fuzz/run.sh
#   long fifteen million runs: make fuzz; keeps the table in bench/results tests/fuzz/run.sh
#   minimise rebuilds the corpus from itself and the inputs that runs have found
#
# With SANITIZER=address the build has AddressSanitizer, which needs a nightly toolchain. New inputs go to
# target/fuzz-found, and an input that breaks a promise to tests/fuzz/artifacts.
set -euo pipefail
cd "$(dirname "$0")/../.."
purpose=${1:?usage: tests/fuzz/run.sh short|long|minimise}

sanitizer=${SANITIZER:-none}
cargo=(cargo)
[ "$sanitizer" = none ] || cargo+=(+nightly)
# A short run is built like the other tests; a long one is worth an optimized build.
profile=dev
[ "$purpose" = short ] || profile=release
found=${CARGO_TARGET_DIR:-target}/fuzz-found

# fuzz TARGET FOLDERS... -- FLAGS OF LIBFUZZER
fuzz() {
    "${cargo[@]}" fuzz run "--$profile" --sanitizer "$sanitizer" --fuzz-dir tests/fuzz "$@"
}

# explore TARGET RUNS FLAGS...: prints the outcome in one line; the full output is kept.
explore() {
    local target=$1 runs=$2 log=$found/$1.log
    shift 2
    mkdir -p "$found/$target"
    if ! fuzz "$target" "$found/$target" "tests/fuzz/corpus/$target" -- \
        -runs="$runs" -timeout=60 -print_final_stats=1 "$@" >"$log" 2>&1; then
        tail -n 60 "$log" >&2
        return 1
    fi
    awk -v target="$target" '
        /DONE +cov:/ { for (i = 1; i < NF; i++) if ($i == "cov:") edges = $(i + 1) }
        /^Done / { runs = $2; seconds = $5 }
        END {
            # A run without inputs has failed.
            if (runs + 0 == 0) exit 1
            printf "%-14s %10d runs %6d s %7d runs/s %5d edges\n",
                target, runs, seconds, runs / (seconds ? seconds : 1), edges
        }' "$log"
}

short() {
    explore open_and_read 50000
    explore changing 10000
    explore takeover 50000
    explore telemetry 200000
}

long() {
    explore open_and_read 6000000
    explore changing 1000000
    explore takeover 4000000
    explore telemetry 4000000
}

minimise() {
    for target in open_and_read changing takeover telemetry; do
        mkdir -p "$found/$target" "$found/$target.least"
        fuzz "$target" "$found/$target.least" "tests/fuzz/corpus/$target" "$found/$target" -- \
            -merge=1 -set_cover_merge=1 -use_counters=0
        rm -r "tests/fuzz/corpus/$target"
        mv "$found/$target.least" "tests/fuzz/corpus/$target"
    done
}

case "$purpose" in
short | minimise) "$purpose" ;;
long)
    result=bench/results/fuzz-$(date +%F).txt
    {
        echo "machine: $(lscpu | sed -n 's/^Model name: *//p'), $(nproc) processors, Linux $(uname -r)"
        echo "commit:  $(git describe --always --dirty --exclude '*')"
        echo "command: SANITIZER=$sanitizer tests/fuzz/run.sh long"
        long
    } | tee -a "$result"
    echo "kept in $result"
    ;;
*)
    echo "tests/fuzz/run.sh: unknown purpose $purpose" >&2
    exit 2
    ;;
esac
