#!/usr/bin/env bash
# What takes long: many seeds of the store under faults, everything under the
# race detector, every fuzz target for a while. Every part runs, also after one
# that failed; which failed is said at the end, and the exit code is 1 then.
#   SEEDS     of each model test (10000)
#   FLIPS     of bits, and cuts, in files of products (10000)
#   KILLS     of nodes and workers (1000)
#   TREES     syntax trees changed at random, with an eye on the files (200000)
#   CRASHES   workers killed while they work, rest and start (1000)
#   SUSTAINED length of the run at 50,000 changed rows a second (10m)
#   TYPES     tables of drawn values through all formats (200)
#   FUZZTIME  of each fuzz target (2m)
set -euo pipefail
cd "$(dirname "$0")/.."
./scripts/setup.sh test

failed=()

# part NAME COMMAND… runs one part and says how long it took.
part() {
  local name=$1 start=$SECONDS code=0
  shift
  echo "== $name"
  "$@" < /dev/null || code=$?
  if [ "$code" != 0 ]; then failed+=("$name"); echo "== FAILED with code $code after $((SECONDS - start)) s: $name"
  else echo "== $((SECONDS - start)) s: $name"; fi
}

part "store under faults: ${SEEDS:=10000} seeds" \
  go test -count=1 -timeout 10h -run 'TestModel|TestSameness' ./store -seeds "$SEEDS"
part "key index: $((SEEDS / 10)) seeds" \
  go test -count=1 -timeout 5h -run 'TestKeyIndex' ./store -seeds "$((SEEDS / 10))"
part "damage: ${FLIPS:=10000} flips and cuts" \
  go test -count=1 -timeout 5h -run 'TestFlips' ./store -flips "$FLIPS"
part "damage of a data folder: $((FLIPS / 20)) flips and cuts" \
  go test -count=1 -timeout 5h -run 'TestFlipsOfADataFolder' ./node -flips "$((FLIPS / 20))"
part "kill -9: ${KILLS:=1000} times" \
  go test -count=1 -timeout 5h -run 'TestKill$' ./cmd/weft -kills "$KILLS"
part "the walker under changed trees: ${TREES:=200000}" \
  go test -count=1 -timeout 3h -run 'TestOracle' ./engine -oracle "$TREES" -oracle.seed "$RANDOM" -rapid.checks 20000
part "workers killed: ${CRASHES:=1000}" \
  go test -count=1 -timeout 1h -run 'TestCrashes' ./engine -crashes "$CRASHES"
page=$(mktemp)
trap 'rm -f "$page"' EXIT
part "changed rows at a steady rate: ${SUSTAINED:=10m}" \
  go run ./bench -strict -only sustained -sustained "$SUSTAINED" -out "$page"
part "types: ${TYPES:=200} tables, values of 64 MB" \
  env WEFT_TYPES_SEEDS="$TYPES" WEFT_LARGE=1 go test -count=1 -timeout 3h -run 'TestTypes|TestLargeValues' ./node
part "too long rows" \
  env WEFT_LARGE=1 go test -count=1 -timeout 1h -run 'TestTooLongRows' ./ingest/files
part "columns that change" \
  go test -count=1 -timeout 1h -run 'TestColumnsChangeAtRandom' ./store -columns 2000
# One test bounds memory, which the detector multiplies.
part "the race detector" \
  go test -count=1 -race -timeout 3h -skip '^TestHostileIsCheap$' ./...

# The fuzz targets, one line "package target" each. Most packages have none.
targets() {
  local pkg dir
  go list -f '{{.ImportPath}} {{.Dir}}' ./... | while read -r pkg dir; do
    { grep -hoE '^func Fuzz[A-Za-z0-9_]+' "$dir"/*_test.go 2>/dev/null || true; } | sed "s#^func #$pkg #"
  done
}
list=$(targets)
[ -n "$list" ] || { echo "nightly: no fuzz target was found" >&2; failed+=("fuzzing"); }
while read -r pkg fuzz; do
  [ -n "$fuzz" ] || continue
  # Shrinking an input that merely found new code would eat the time.
  part "fuzzing $pkg $fuzz for ${FUZZTIME:=2m}" \
    go test -run '^$' -fuzz "^$fuzz\$" -fuzztime "$FUZZTIME" -fuzzminimizetime 10x "$pkg"
done <<< "$list"

if [ ${#failed[@]} != 0 ]; then
  printf 'nightly: failed: %s\n' "${failed[@]}" >&2
  exit 1
fi
echo "the nightly run is done"
