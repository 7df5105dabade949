#!/usr/bin/env bash
# Runs the README's tour line by line, as a newcomer would paste it, and holds
# what it shows against what it must.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
venv=${WEFT_TEST_VENV:-${XDG_CACHE_HOME:-$HOME/.cache}/weft-test-venv}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
read -r port port2 < <(python3 -c 'import socket
ss = [socket.socket() for _ in range(2)]
for s in ss: s.bind(("127.0.0.1", 0))
print(*[s.getsockname()[1] for s in ss])')

# block LANGUAGE prints the tour's code blocks of that language.
block() {
  awk -v lang="$1" '/<!-- tour:/{on=1} /<!-- end of tour/{on=0}
    on && $0 == "```" {code=0} on && code {print} on && $0 == "```" lang {code=1}' "$root/README.md" |
    sed "s#/tmp/weft-tour#$work#g; s#127.0.0.1:7373#127.0.0.1:$port#g; s#127.0.0.1:7374#127.0.0.1:$port2#g"
}

cd "$root"
block python > "$work/notebook.py"
{
  echo 'trap '"'"'kill $(jobs -p) 2>/dev/null || true; wait'"'"' EXIT' # the node writes while it stops
  block sh
  echo "'$venv/bin/python' '$work/notebook.py'"
} > "$work/tour.sh"
timeout 300 bash -e "$work/tour.sh" > "$work/out" 2>&1 || { cat "$work/out"; echo "tour: a command failed" >&2; exit 1; }

want() { grep -qE -- "$1" "$work/out" || { cat "$work/out"; echo "tour: nothing shows /$1/" >&2; exit 1; }; }
want 'classification: restricted'
want 'sales\.orders +draft +fresh'
want 'exit code 1: the answer is no'
want 'sales\.orders +draft +refused'
want '^1000$'
want '^1001$'
want '\+1\b'
want '^online +33[0-9]'
want 'is in the mesh acme and speaks for places'
want '^places\.stores +active'
want 'origin +at .*, known as of now'
want 'which is away: known as of'
if grep -q 'person1@' "$work"/orders/*.yaml "$work/node.log"; then
  echo "tour: a personal value was written" >&2; exit 1
fi
echo "the tour's commands work"
