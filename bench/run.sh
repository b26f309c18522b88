#!/usr/bin/env bash
# Runs a bench and keeps its table, with machine and command, in bench/results/.
#
#   bench/run.sh NAME [ARGUMENT...]
#
# Benches of the frame path run at a camera's pace. Their arguments are [loop] [FILTER]: without pauses, and the tables
# whose title contains FILTER. Each combination of arguments has its own file; those of `cpu` share one.
set -euo pipefail
cd "$(dirname "$0")/.."
names="slot_write paced scaling reader_copy wake crowd handover download first_frame demand crash cpu producer_cpu idle ingest"
names+=" scale recorders peers tensor gate gate_instructions hammer"
name=${1:?usage: bench/run.sh NAME [ARGUMENT...], where NAME is one of: $names}
shift
result=bench/results/$name-$(date +%F)
case "$name" in
download) command=(cargo bench --locked --profile dev -p vas-bench --bench download) ;; # counts, no times
cpu)
    cargo build --locked --release -p vas -p vas-bench --bin vas --bin vas-shard --bin readers
    # Raw rounds, to which a later run of the day adds the ones that are missing.
    command=(bench/cpu --results "$result.jsonl" "$@")
    set --
    ;;
producer_cpu)
    cargo build --locked --release -p vas -p vas-bench --bin vas --bin vas-shard --bin readers
    command=(bench/producer_cpu)
    ;;
idle)
    cargo build --locked --release -p vas
    # The build without the tap, with which "off" is compared.
    cargo build --locked --release -p vas --no-default-features --target-dir "${CARGO_TARGET_DIR:-target}/no-export"
    command=(bench/idle)
    ;;
ingest)
    cargo build --locked --release -p vas -p vas-bench --bin vas --bin vas-shard --bin cameras
    command=(bench/ingest)
    ;;
python)
    cargo build --locked --release -p vas -p vas-python
    command=("$(tests/python/run.sh --venv)" bench/python)
    ;;
scale | recorders)
    cargo build --locked --release -p vas -p vas-bench --bin vas --bin vas-shard --bin readers
    command=("bench/$name")
    ;;
peers)
    cargo build --locked --release -p vas -p vas-bench --bin vas --bin vas-shard --bin consumer --bin cameras
    # Not --locked: its lock file is outside the workspace, and follows what vas-media needs.
    cargo build --release --manifest-path bench/peer/iceoryx2/Cargo.toml --target-dir "${CARGO_TARGET_DIR:-target}"
    # The raw results are kept beside the tables.
    command=(bench/peers --raw "$result.jsonl" "$@")
    set --
    ;;
tensor)
    cargo build --locked --release -p vas-tensor --example calls
    command=(python3 bench/tensor.py)
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
slot_write | paced | scaling | reader_copy | wake | crowd | gate | handover) command=(cargo bench --locked -p vas-bench --bench "$name") ;;
first_frame | demand)
    cargo build --locked --release -p vas
    command=(cargo bench --locked -p vas-bench --bench "$name")
    ;;
*)
    echo "bench/run.sh: no bench $name; there are: $names" >&2
    exit 2
    ;;
esac
if [[ ${command[0]} == cargo && $# -gt 0 ]]; then
    command+=(--)
fi
command+=("$@")
words=$(tr -cs 'A-Za-z0-9\n' - <<<"$*")
result+=${words:+-$words}.txt
{
    echo "machine: $(lscpu | sed -n 's/^Model name: *//p'), $(nproc) processors, Linux $(uname -r)"
    echo "commit:  $(git describe --always --dirty --exclude '*')"
    echo "command: ${command[*]}"
    # Criterion keeps its raw results in target/criterion; its lines are filtered out here.
    "${command[@]}" | grep -vE '^(Benchmarking|running|test |$)|time: |change: |outliers|mild|severe|No change|Performance|Change within|^[^ ].*/[A-Za-z]+$'
} | tee "$result"
echo "kept in $result"
