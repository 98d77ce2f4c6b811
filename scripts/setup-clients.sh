#!/usr/bin/env bash
# Installs the clients that the conformance tests drive: Debian packages, and Python environments under .work/.
# Safe to run again: what is present and unchanged is left alone.
#
#   scripts/setup-clients.sh          everything
#   scripts/setup-clients.sh benches  only what benches/ needs (nginx, the newest Python environment, the peers')
#   scripts/setup-clients.sh deny     only what scripts/deny.sh needs (cargo-deny)
#   scripts/setup-clients.sh demo     only what scripts/demo.sh needs (ncdump, the newest Python environment)
set -euo pipefail
cd "$(dirname "$0")/.."
what=${1:-all}

# command -> Debian package that brings it
declare -A packages=([ncdump]=netcdf-bin [curl]=curl [cc]=gcc [make]=make)
if [ "$what" = deny ]; then
    packages=()
fi
if [ "$what" = benches ]; then
    packages+=([nginx]=nginx-light)
fi
if [ "$what" = all ]; then
    packages+=([ncgen]=netcdf-bin [getdap]=libdap-bin [getdap4]=libdap-bin [ncks]=nco [cdo]=cdo [gdalinfo]=gdal-bin [h5repack]=hdf5-tools [nginx]=nginx-light [caddy]=caddy [apache2]=apache2-bin [haproxy]=haproxy [openssl]=openssl [valgrind]=valgrind [chromium]=chromium [node]=nodejs [npm]=npm)
fi

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

install_packages() {
    echo "installing $*"
    local log=.work/apt.log
    # Servers are wanted as programs: none of them is to be started by its package.
    local policy=/usr/sbin/policy-rc.d made=
    if [ ! -e "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
        as_root chmod 755 "$policy"
        made=1
    fi
    if ! { as_root apt-get update -q && as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$@"; } >"$log" 2>&1; then
        tail -20 "$log" >&2
        [ -z "$made" ] || as_root rm -f "$policy"
        return 1
    fi
    [ -z "$made" ] || as_root rm -f "$policy"
}

mkdir -p .work
# Servers, too, are looked for where Debian puts them.
PATH=$PATH:/usr/sbin
missing=()
for command in "${!packages[@]}"; do
    command -v "$command" >/dev/null || missing+=("${packages[$command]}")
done

python=$(command -v python3.11 || command -v python3 || true)
if [ -z "$python" ]; then
    missing+=(python3 python3-venv)
elif ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    missing+=(python3-venv)
fi
if [ ${#missing[@]} -gt 0 ]; then
    mapfile -t missing < <(printf '%s\n' "${missing[@]}" | sort -u)
    install_packages "${missing[@]}"
fi
python=$(command -v python3.11 || command -v python3)

# An environment is made anew when its list of requirements has changed.
environment() {
    local folder=.work/$1 requirements=scripts/$2
    if [ -f "$folder/stamp" ] && cmp -s "$folder/stamp" "$requirements" && "$folder/bin/python" -c '' 2>/dev/null; then
        return
    fi
    echo "making $folder from $requirements"
    rm -rf "$folder"
    "$python" -m venv "$folder"
    "$folder/bin/python" -m pip install --quiet --disable-pip-version-check --no-input --only-binary :all: -r "$requirements" ||
        "$folder/bin/python" -m pip install --quiet --disable-pip-version-check --no-input -r "$requirements"
    cp "$requirements" "$folder/stamp"
}

if [ "$what" = all ] || [ "$what" = deny ]; then
    environment venv-operations requirements-operations.txt
fi
if [ "$what" = deny ]; then
    exit
fi
environment venv requirements-newest.txt
if [ "$what" = all ] || [ "$what" = benches ]; then
    environment venv-stores requirements-stores.txt
    environment venv-peers requirements-peers.txt
fi
if [ "$what" = all ]; then
    environment venv-1.6.5 requirements-1.6.5.txt
    environment venv-1.7.2 requirements-1.7.2.txt
fi
if [ "$what" = all ]; then
    # What drives the browser, and the rules of accessibility it is judged by.
    wanted="playwright-core@1.65.1 axe-core@4.14.1"
    if [ "$(cat .work/npm/stamp 2>/dev/null)" != "$wanted" ]; then
        echo "installing $wanted"
        mkdir -p .work/npm
        # shellcheck disable=SC2086 # one word per package
        npm install --prefix .work/npm --no-fund --no-audit --save-exact --silent $wanted
        echo "$wanted" >.work/npm/stamp
    fi
fi
echo "clients are ready"
