#!/usr/bin/env bash
# Real clients and abusers at once, for a time: no wrong byte, no failure, no panic, memory and open files flat.
#
#   scripts/soak.sh                   20 minutes
#   scripts/soak.sh --short           about a minute, as in scripts/test.sh
#   scripts/soak.sh --seconds 259200  as long as you like
#
# The server is built, or named in THALWEG. The clients are those of scripts/setup-clients.sh.
set -euo pipefail
cd "$(dirname "$0")/.."
if [ "${1:-}" = --short ]; then
    shift
    set -- --seconds 45 "$@"
fi
if [ -z "${THALWEG:-}" ]; then
    cargo build --release --quiet
    THALWEG=$(cargo build --release --quiet --message-format json | sed -n 's/.*"executable":"\([^"]*\)".*/\1/p' | tail -1)
fi
# A thousand connections and their files.
ulimit -n "$(ulimit -Hn)"
exec .work/venv/bin/python tests/soak/run.py --server "$THALWEG" "$@"
