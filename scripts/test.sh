#!/usr/bin/env bash
# Every test. One command for people and machines:
#
#   scripts/test.sh            all of it, from a clean clone
#   scripts/test.sh rust       format, lints, unit and integration tests, documentation
#   scripts/test.sh clients    real clients against the built server; regenerates docs/compatibility.md
#   scripts/test.sh demo       scripts/demo.sh --check
set -euo pipefail
cd "$(dirname "$0")/.."

passed=0
failed=0

# step SECONDS TITLE COMMAND...: runs it under a time limit; a failure is counted and the rest goes on.
step() {
    local seconds=$1 title=$2
    shift 2
    printf '\n=== %s\n' "$title"
    local started=$SECONDS
    local status=0
    timeout --kill-after=20 "$seconds" "$@" || status=$?
    if [ "$status" = 0 ]; then
        passed=$((passed + 1))
        printf -- '--- %s: passed in %s s\n' "$title" $((SECONDS - started))
    else
        failed=$((failed + 1))
        [ "$status" = 124 ] && echo "(time limit of $seconds s)"
        printf -- '--- %s: FAILED with status %s after %s s\n' "$title" "$status" $((SECONDS - started))
    fi
    return 0
}

rust() {
    step 120 "format" cargo fmt --all --check
    step 1500 "lints" cargo clippy --workspace --all-targets --quiet -- -D warnings
    step 1800 "unit, integration and documentation tests" cargo test --workspace --quiet
    RUSTDOCFLAGS=-Dwarnings step 600 "documentation" cargo doc --workspace --no-deps --quiet
    step 300 "set up cargo-deny" scripts/setup-clients.sh deny
    step 300 "dependencies: licences, sources, bans, advisories" scripts/deny.sh
}

clients() {
    step 1200 "set up the clients" scripts/setup-clients.sh
    step 300 "fetch real data" scripts/fetch-data.sh
    step 1500 "build the server" cargo build --release --quiet
    # Cargo itself says where it put the program: a target directory may be configured.
    THALWEG=$(cargo build --release --quiet --message-format json | sed -n 's/.*"executable":"\([^"]*\)".*/\1/p' | tail -1)
    export THALWEG
    # What servers keep of what they saw is not the user's.
    export XDG_CACHE_HOME=$PWD/.work/cache
    # Nobody is in front of the servers that are started and stopped here who has to notice.
    export THALWEG_LIMITS_DRAIN_DELAY="0 s"
    step 300 "generate the corpus" .work/venv/bin/python tests/data/make_corpus.py .work/corpus
    step 1200 "real clients" .work/venv/bin/python tests/conformance/clients/run.py
    step 120 "one dataset in every container" .work/venv/bin/python tests/conformance/clients/containers.py
    step 120 "reference systems as GDAL reads them from us" .work/venv/bin/python tests/conformance/clients/gdal_crs.py --server "$THALWEG"
    step 300 "thalweg cat against ncdump" .work/venv/bin/python tests/conformance/clients/cat.py "$THALWEG" .work/data .work/corpus
    step 600 "aggregations against xarray's own joins" .work/venv/bin/python tests/conformance/clients/aggregations.py --server "$THALWEG"
    step 600 "catalogs that siphon crawls" .work/venv/bin/python tests/conformance/clients/siphon_crawl.py --server "$THALWEG"
    step 120 "a set of files that grows while it is read" .work/venv/bin/python tests/conformance/clients/growing.py --server "$THALWEG"
    step 120 "thalweg explain against what the server does" .work/venv/bin/python tests/conformance/clients/explain.py --server "$THALWEG"
    step 300 "behind nginx, Caddy and Apache, with TLS and a prefix" .work/venv/bin/python tests/conformance/clients/proxy.py --server "$THALWEG"
    step 120 "metrics and deployment files" .work/venv-operations/bin/python tests/deploy/run.py --server "$THALWEG"
    step 180 "three replicas behind haproxy, one killed, one stopped" .work/venv/bin/python tests/conformance/clients/replicas.py --server "$THALWEG"
    step 120 "data that are not for everyone" .work/venv/bin/python tests/conformance/clients/access.py --server "$THALWEG"
    step 200 "a soak of a minute: real clients and abusers at once" scripts/soak.sh --short
    step 300 "commands of the documentation" .work/venv/bin/python tests/docs/run.py
    step 600 "pages in a browser" node tests/browser/run.mjs "$THALWEG" .work/data .work/screenshots
    step 300 "instructions of hot paths" .work/venv/bin/python benches/instructions.py --server "$THALWEG"
    step 900 "benchmarks run" benches/run.sh --quick
}

demo() {
    step 1800 "demo" scripts/demo.sh --check
}

case ${1:-all} in
all)
    rust
    clients
    demo
    ;;
rust | clients | demo) "$1" ;;
*)
    sed -n '2,8s/^# \{0,1\}//p' "$0"
    exit 2
    ;;
esac

printf '\n%s passed, %s failed\n' "$passed" "$failed"
[ "$failed" = 0 ]
