#!/usr/bin/env bash
# Everything side by side, from a fresh clone to docs/performance.md:
#
#   benches/run.sh            all benchmarks, each of which writes its section; takes about 35 minutes
#   benches/run.sh --quick    small inputs, one round, nothing written: shows that everything runs
#   benches/run.sh [--quick] whole slabs ...    only these
set -euo pipefail
cd "$(dirname "$0")/.."

every=(whole slabs series storms metadata aggregation growth stores)
arguments=(--write docs/performance.md)
quick=
chosen=()
for word in "$@"; do
    case $word in
    --quick) quick=yes arguments=(--quick) ;;
    *) chosen+=("$word") ;;
    esac
done
[ ${#chosen[@]} -gt 0 ] || chosen=("${every[@]}")

scripts/setup-clients.sh benches
cargo build --release --quiet
cargo build --release --quiet -p thalweg-benches
# Cargo itself says where it put the programs: a target directory may be configured.
THALWEG=$(cargo build --release --quiet --message-format json | sed -n 's/.*"executable":"\([^"]*\)".*/\1/p' | tail -1)
export THALWEG

for name in "${chosen[@]}"; do
    printf '\n--- %s\n' "$name"
    timeout --kill-after=20 900 .work/venv/bin/python "benches/$name.py" "${arguments[@]}"
done
[ -n "$quick" ] || .work/venv/bin/python benches/overview.py --write docs/performance.md
