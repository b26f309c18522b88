#!/usr/bin/env bash
# Runs a bench and keeps its table, with machine and command, in bench/results/.
#
#   bench/run.sh slot_write|paced|wake|crowd|handover|download|first_frame|demand|crash|cpu|producer_cpu|idle|ingest|scale|peers|gate|gate_instructions|hammer
set -euo pipefail
cd "$(dirname "$0")/.."
name=${1:?usage: bench/run.sh slot_write|paced|wake|crowd|handover|download|first_frame|demand|crash|cpu|producer_cpu|idle|ingest|scale|peers|gate|gate_instructions|hammer}
case "$name" in
download) command=(cargo bench --locked --profile dev -p vas-bench --bench download) ;; # counts, no times
cpu)
    cargo build --locked --release -p vas -p vas-bench --bin vas --bin readers
    command=(bench/cpu)
    ;;
producer_cpu)
    cargo build --locked --release -p vas -p vas-bench --bin vas --bin readers
    command=(bench/producer_cpu)
    ;;
idle)
    cargo build --locked --release -p vas
    # The build without the tap, with which "off" is compared.
    cargo build --locked --release -p vas --no-default-features --target-dir "${CARGO_TARGET_DIR:-target}/no-export"
    command=(bench/idle)
    ;;
ingest)
    cargo build --locked --release -p vas -p vas-bench --bin vas --bin cameras
    command=(bench/ingest)
    ;;
scale | peers)
    cargo build --locked --release -p vas -p vas-bench --bin vas --bin readers
    command=("bench/$name")
    ;;
crash)
    command=(cargo test --locked --release -p vas-frame --test attack -- --ignored --nocapture)
    command+=(crash_thousand)
    ;;
hammer) # no bench, but a test that takes minutes
    command=(env "HAMMER_MINUTES=${HAMMER_MINUTES:-5}" cargo test --locked --release -p vas-frame)
    command+=(--test hammer -- --ignored --nocapture for_minutes)
    ;;
gate_instructions) command=(bench/gate_instructions.sh) ;;
slot_write | paced | wake | crowd | gate | handover) command=(cargo bench --locked -p vas-bench --bench "$name") ;;
first_frame | demand)
    cargo build --locked --release -p vas
    command=(cargo bench --locked -p vas-bench --bench "$name")
    ;;
*)
    echo "bench/run.sh: no bench $name" >&2
    exit 2
    ;;
esac
result=bench/results/$name-$(date +%F).txt
{
    echo "machine: $(lscpu | sed -n 's/^Model name: *//p'), $(nproc) processors, Linux $(uname -r)"
    echo "commit:  $(git describe --always --dirty --exclude '*')"
    echo "command: ${command[*]}"
    # Criterion keeps its raw results in target/criterion; its lines are filtered out here.
    "${command[@]}" | grep -vE '^(Benchmarking|running|test |$)|time: |change: |outliers|mild|severe|No change|Performance|Change within|^[^ ].*/[A-Za-z]+$'
} | tee "$result"
echo "kept in $result"
