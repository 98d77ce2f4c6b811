#!/usr/bin/env bash
# What enters the dependency tree, judged by cargo-deny and deny.toml (promise R36): bans, licences and sources always;
# advisories where the database of RustSec can be had, which this says.
set -euo pipefail
cd "$(dirname "$0")/.."

# The one that scripts/setup-clients.sh installs, or the user's.
deny=.work/venv-operations/bin/cargo-deny
if [ ! -x "$deny" ]; then
    deny=$(command -v cargo-deny) || {
        echo "cargo-deny is missing: scripts/setup-clients.sh installs it" >&2
        exit 1
    }
fi
"$deny" check --hide-inclusion-graph bans licenses sources
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if timeout 120 "$deny" check --hide-inclusion-graph advisories >"$log" 2>&1; then
    tail -1 "$log"
elif grep -q "failed to fetch advisory database" "$log"; then
    echo "advisories NOT CHECKED: the database at github.com cannot be reached from here"
else
    cat "$log"
    exit 1
fi
