#!/usr/bin/env bash
# Runs the README's tour line by line, as a newcomer would paste it, and holds
# what it shows against what it must.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
venv=${WEFT_TEST_VENV:-${XDG_CACHE_HOME:-$HOME/.cache}/weft-test-venv}
work=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; wait 2>/dev/null || true; rm -rf "$work"' EXIT

# block LANGUAGE prints the tour's code blocks of that language.
block() {
  awk -v lang="$1" '/<!-- tour:/{on=1} /<!-- end of tour/{on=0}
    on && $0 == "```" {code=0} on && code {print} on && $0 == "```" lang {code=1}' "$root/README.md" |
    sed "s#/tmp/weft-tour#$work#g; s#127.0.0.1:7373#127.0.0.1:$port#g"
}
port=$(python3 -c 'import socket; s=socket.socket(); s.bind(("127.0.0.1",0)); print(s.getsockname()[1])')

cd "$root"
# The blocks run in this shell, so that the node they start is ours to end. The
# wait for the node is bounded here, where nobody watches.
block sh | sed 's/^make build$/:/' > "$work/tour.sh"
exec 3>&1
out="$work/out"
( sleep 120; echo "tour: took longer than two minutes" >&2; kill -TERM $$ 2>/dev/null ) & watchdog=$!
# shellcheck disable=SC1091
source "$work/tour.sh" > "$out" 2>&1 || { cat "$out"; echo "tour: a command failed" >&2; exit 1; }
block python > "$work/notebook.py"
"$venv/bin/python" "$work/notebook.py" >> "$out" 2>&1 || { cat "$out"; echo "tour: the notebook failed" >&2; exit 1; }
kill "$watchdog" 2>/dev/null || true

want() { grep -qE -- "$1" "$out" || { cat "$out"; echo "tour: nothing shows /$1/" >&2; exit 1; }; }
want 'classification: restricted'
want 'sales\.orders +draft +fresh'
want 'exit code 1: the answer is no'
want '\brefused\b'
want '^ +1000$'
want '^ +1001$'
want '\+1\b'
want 'online +333'
if grep -q 'person1@' "$work"/orders/*.yaml "$work/node.log"; then
  echo "tour: a personal value was written" >&2; exit 1
fi
echo "the tour's commands work"
