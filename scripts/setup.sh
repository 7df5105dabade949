#!/usr/bin/env bash
# Brings a fresh Debian-like machine to where Weft builds (setup.sh build) and is
# tested (setup.sh test). It installs what it may and names the rest.
set -euo pipefail
want=${1:-build}

die() { printf 'setup: %s\n' "$*" >&2; exit 2; }

# install PACKAGE… by apt where that is possible.
install() {
  command -v apt-get >/dev/null || die "missing: $*. Install it with your package manager and run make again."
  local sudo=""
  if [ "$(id -u)" != 0 ]; then
    if command -v sudo >/dev/null && sudo -n true 2>/dev/null; then sudo="sudo -n"; else
      die "missing: $*. Type: sudo apt-get install -y $*"
    fi
  fi
  printf 'setup: installing %s\n' "$*" >&2
  export DEBIAN_FRONTEND=noninteractive
  $sudo apt-get install -y -qq "$@" >/dev/null 2>&1 || {
    $sudo apt-get update -qq >/dev/null 2>&1
    $sudo apt-get install -y -qq "$@" >/dev/null
  } || die "could not install: $*. Type: sudo apt-get install -y $*"
}

command -v go >/dev/null || die "Go 1.26 or newer is needed: see https://go.dev/doc/install"
minor=$(go env GOVERSION | sed -E 's/^go1\.([0-9]+).*/\1/')
[ "$minor" -ge 26 ] 2>/dev/null || die "Go 1.26 or newer is needed, this is $(go env GOVERSION): see https://go.dev/doc/install"
command -v "${CC:-gcc}" >/dev/null && command -v "${CXX:-g++}" >/dev/null || install build-essential

[ "$want" = test ] || exit 0

# A real PostgreSQL for the tests of that source.
if ! command -v initdb >/dev/null && ! ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1; then
  install postgresql
fi
# A Python client for the notebook end of the tour, in a virtual environment.
command -v python3 >/dev/null || install python3
venv=${WEFT_TEST_VENV:-${XDG_CACHE_HOME:-$HOME/.cache}/weft-test-venv}
if ! "$venv/bin/python" -c 'import pandas, pyarrow' 2>/dev/null; then
  python3 -m venv "$venv" 2>/dev/null || { install python3-venv; python3 -m venv "$venv"; }
  printf 'setup: installing pandas and pyarrow for the tests\n' >&2
  "$venv/bin/pip" install -q --disable-pip-version-check 'pandas>=2' 'pyarrow>=15' \
    || die "could not install pandas and pyarrow. Type: $venv/bin/pip install pandas pyarrow"
fi
# What makes the tables of TPC-H; meshtest/fedtest names the same version.
tpchgen=4.0.0
if [ "$("$venv/bin/tpchgen-cli" --version 2>/dev/null | awk '{print $NF}')" != "$tpchgen" ]; then
  printf 'setup: installing tpchgen-cli for the tests\n' >&2
  "$venv/bin/pip" install -q --disable-pip-version-check "tpchgen-cli==$tpchgen" \
    || die "could not install tpchgen-cli. Type: $venv/bin/pip install tpchgen-cli==$tpchgen"
fi
