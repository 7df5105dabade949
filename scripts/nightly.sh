#!/usr/bin/env bash
# What takes long: many seeds of the store under faults, everything under the
# race detector, every fuzz target for a while.
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
echo "store under faults: ${SEEDS:=10000} seeds"
go test -count=1 -timeout 10h -run 'TestModel|TestSameness' ./store -seeds "$SEEDS"
go test -count=1 -timeout 5h -run 'TestKeyIndex' ./store -seeds "$((SEEDS / 10))"
echo "damage: ${FLIPS:=10000} flips and cuts"
go test -count=1 -timeout 5h -run 'TestFlips' ./store -flips "$FLIPS"
go test -count=1 -timeout 5h -run 'TestFlipsOfADataFolder' ./node -flips "$((FLIPS / 20))"
echo "kill -9: ${KILLS:=1000} times"
go test -count=1 -timeout 5h -run 'TestKill$' ./cmd/weft -kills "$KILLS"
echo "the walker under changed trees: ${TREES:=200000}"
go test -count=1 -timeout 3h -run 'TestOracle' ./engine -oracle "$TREES" -oracle.seed "$RANDOM" -rapid.checks 20000
echo "workers killed: ${CRASHES:=1000}"
go test -count=1 -timeout 1h -run 'TestCrashes' ./engine -crashes "$CRASHES"
echo "changed rows at a steady rate: ${SUSTAINED:=10m}"
page=$(mktemp)
go run ./bench -strict -only sustained -sustained "$SUSTAINED" -out "$page"
rm -f "$page"
echo "types: ${TYPES:=200} tables, values of 64 MB"
WEFT_TYPES_SEEDS="$TYPES" WEFT_LARGE=1 go test -count=1 -timeout 3h -run 'TestTypes|TestLargeValues' ./node
WEFT_LARGE=1 go test -count=1 -timeout 1h -run 'TestTooLongRows' ./ingest/files
go test -count=1 -timeout 1h -run 'TestColumnsChangeAtRandom' ./store -columns 2000
go test -count=1 -race -timeout 3h ./...
go list ./... | while read -r pkg; do
  dir=$(go list -f '{{.Dir}}' "$pkg")
  grep -hoE '^func Fuzz[A-Za-z0-9_]+' "$dir"/*_test.go 2>/dev/null | awk '{print $2}' | while read -r fuzz; do
    echo "fuzzing $pkg $fuzz for ${FUZZTIME:=2m}"
    # Shrinking an input that merely found new code would eat the time.
    go test -run '^$' -fuzz "^$fuzz\$" -fuzztime "$FUZZTIME" -fuzzminimizetime 10x "$pkg" < /dev/null
  done
done
echo "the nightly run is done"
