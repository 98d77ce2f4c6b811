#!/usr/bin/env bash
# From nothing to served data on a fresh Debian machine with Rust.
#
#   scripts/demo.sh            sets up what is missing, builds, serves real data on 127.0.0.1:8080
#   scripts/demo.sh --check    the same on a free port, reads it back with ncdump and xarray, stops, exits 0
set -euo pipefail
cd "$(dirname "$0")/.."
mode=${1:-serve}

scripts/setup-clients.sh demo
scripts/fetch-data.sh
# Cargo itself says where it put the program: a target directory may be configured.
binary=$(cargo build --release --quiet --message-format json | sed -n 's/.*"executable":"\([^"]*\)".*/\1/p' | tail -1)

if [ "$mode" != --check ]; then
    cat <<'TEXT'

Serving .work/data. In another terminal, try:

  ncdump -h http://127.0.0.1:8080/opendap/A1B_north_america.nc
  ncdump -h 'http://127.0.0.1:8080/opendap/A1B_north_america.nc#dap4'
  curl 'http://127.0.0.1:8080/opendap/A1B_north_america.nc.ascii?latitude'
  curl  http://127.0.0.1:8080/opendap/A1B_north_america.nc.dmr
  .work/venv/bin/python -c "import xarray; print(xarray.open_dataset('http://127.0.0.1:8080/opendap/A1B_north_america.nc', engine='netcdf4'))"

or open http://127.0.0.1:8080/ in a browser. Stop with Ctrl-C.

TEXT
    exec "$binary" serve .work/data --listen 127.0.0.1:8080
fi

log=.work/demo.log
"$binary" serve .work/data --listen 127.0.0.1:0 >/dev/null 2>"$log" &
server=$!
trap 'kill "$server" 2>/dev/null || true; wait "$server" 2>/dev/null || true' EXIT

base=
for _ in $(seq 100); do
    base=$(sed -n 's|.*browse \(http://127\.0\.0\.1:[0-9]*\)/.*|\1|p' "$log" | head -1)
    [ -n "$base" ] && break
    kill -0 "$server" 2>/dev/null || break
    sleep 0.1
done
if [ -z "$base" ]; then
    echo "the server did not start:" >&2
    cat "$log" >&2
    exit 1
fi

# ncdump prints the same numbers from the server as from the file.
file=A1B_north_america.nc
section() { timeout 60 ncdump -p 9,17 -v latitude,time "$1" | sed -n '/^data:/,$p'; }
local=$(section ".work/data/$file")
for url in "$base/opendap/$file" "$base/opendap/$file#dap4"; do
    remote=$(section "$url")
    if [ -z "$remote" ] || [ "$local" != "$remote" ]; then
        echo "ncdump of $url differs from the local file" >&2
        exit 1
    fi
    echo "ncdump reads $url"
done
timeout 300 .work/venv/bin/python scripts/demo_check.py "$base" .work/data
echo "demo: all right"
