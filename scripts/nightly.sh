#!/usr/bin/env bash
# What takes long: many seeds of the store under faults, everything under the
# race detector, every fuzz target for a while. As many parts run at a time as
# there are cores. Every part runs, also after one that failed; which failed is
# said at the end, and the exit code is 1 then.
#   SEEDS     of each model test (10000); a twentieth of it of longer histories
#   FLIPS     of bits, and cuts, in files of products (10000)
#   KILLS     of nodes and workers (1000)
#   TREES     syntax trees changed at random, with an eye on the files (200000)
#   CRASHES   workers killed while they work, rest and start (1000)
#   SUSTAINED length of the run at 50,000 changed rows a second (10m)
#   TYPES     tables of drawn values through all formats (200)
#   LINEAGES  made-up queries whose lineage is held against what changes (20000)
#   QUESTIONS made-up ones over many nodes, held against one engine (100000)
#   NODES     of the large mesh (1000), PRODUCTS of each (100)
#   LATE      records that a late node catches up with (200000)
#   FUZZTIME  of each fuzz target, on one core (2m)
#   JOBS      parts at a time (the number of cores)
#   PARTS     only those whose name this extended regular expression matches (all)
set -euo pipefail
cd "$(dirname "$0")/.."
./scripts/setup.sh test

logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT
: "${JOBS:=$(nproc)}"
running=0

# one NAME COMMAND… runs one part, then shows what it said and how long it took.
one() {
  local name=$1 start=$SECONDS code=0 log
  shift
  log=$(mktemp "$logs/part.XXXXXX")
  "$@" < /dev/null > "$log" 2>&1 || code=$?
  {
    flock 9
    echo "== $name"
    cat "$log"
    if [ "$code" != 0 ]; then
      echo "$name" >> "$logs/failed"
      echo "== FAILED with code $code after $((SECONDS - start)) s: $name"
    else echo "== $((SECONDS - start)) s: $name"; fi
  } 9> "$logs/lock"
}

: "${PARTS:=.}"
ran=0
wanted() { [[ $1 =~ $PARTS ]] && ran=$((ran + 1)); }

# part NAME COMMAND… starts a part as soon as there is a core for it.
part() {
  wanted "$1" || return 0
  if [ "$running" -ge "$JOBS" ]; then
    wait -n
    running=$((running - 1))
  fi
  one "$@" &
  running=$((running + 1))
}

# alone NAME COMMAND… runs a part that measures.
alone() {
  wait
  wanted "$1" || return 0
  running=0
  one "$@"
}

: "${SEEDS:=10000}" "${FLIPS:=10000}" "${KILLS:=1000}" "${TREES:=200000}" "${CRASHES:=1000}" "${SUSTAINED:=10m}" "${TYPES:=200}" "${LINEAGES:=20000}" "${QUESTIONS:=100000}" "${NODES:=1000}" "${PRODUCTS:=100}" "${LATE:=200000}" "${FUZZTIME:=2m}"
for shard in 0 1 2 3; do
  part "store under faults: $((SEEDS / 4)) seeds from $((shard * SEEDS / 4))" \
    go test -count=1 -timeout 10h -run '^TestModel$' ./store -seed "$((shard * SEEDS / 4))" -seeds "$((SEEDS / 4))"
done
part "journal under faults: $SEEDS seeds" \
  go test -count=1 -timeout 10h -run '^TestModelJournal$' ./store -seeds "$SEEDS"
part "every fault at every step" \
  go test -count=1 -timeout 10h -run '^TestModelEveryStep$' ./store -seeds 1000000
part "sameness: $((SEEDS / 20)) histories" \
  go test -count=1 -timeout 10h -run '^TestSameness$' ./store -seeds "$((SEEDS / 20))"
part "key index: $((SEEDS / 20)) seeds" \
  go test -count=1 -timeout 5h -run '^TestKeyIndex$' ./store -seeds "$((SEEDS / 20))"
for shard in 0 1; do
  part "damage: $((FLIPS / 2)) flips and cuts from $((shard * FLIPS / 2))" \
    go test -count=1 -timeout 5h -run '^TestFlips$' ./store -seed "$((shard * FLIPS / 2))" -flips "$((FLIPS / 2))"
done
part "damage of a data folder: $((FLIPS / 20)) flips and cuts" \
  go test -count=1 -timeout 5h -run 'TestFlipsOfADataFolder' ./node -flips "$((FLIPS / 20))"
part "damage of a backup: $((FLIPS / 20)) flips and cuts" \
  go test -count=1 -timeout 5h -run 'TestFlipsOfABackup' ./backup -flips "$((FLIPS / 20))"
part "kill -9: $KILLS times" \
  go test -count=1 -timeout 5h -run 'TestKill$' ./cmd/weft -kills "$KILLS"
part "the walker under changed trees: $TREES" \
  go test -count=1 -timeout 3h -run 'TestOracle' ./engine -oracle "$TREES" -oracle.seed "$RANDOM" -rapid.checks 20000
part "lineage against the truth: $LINEAGES made-up queries" \
  go test -count=1 -timeout 5h -run '^TestLineage' ./engine -lineages "$LINEAGES"
for shard in 0 1; do
  part "made-up questions over many nodes: $((QUESTIONS / 2)) from seed $((1000 + shard * QUESTIONS))" \
    go test -count=1 -timeout 10h -run '^TestQuestions$' ./meshtest/fedtest -questions "$((QUESTIONS / 2))" -seed "$((1000 + shard * QUESTIONS))"
done
part "made-up questions over links: $((QUESTIONS / 100))" \
  go test -count=1 -timeout 3h -run '^TestQuestionsOverLinks$' ./meshtest/fedtest -questions "$((QUESTIONS / 10))" -seed 500
part "workers killed: $CRASHES" \
  go test -count=1 -timeout 1h -run 'TestCrashes' ./engine -crashes "$CRASHES"
part "types: $TYPES tables, values of 64 MB" \
  env WEFT_TYPES_SEEDS="$TYPES" WEFT_LARGE=1 go test -count=1 -timeout 3h -run 'TestTypes|TestLargeValues' ./node
part "too long rows" \
  env WEFT_LARGE=1 go test -count=1 -timeout 1h -run 'TestTooLongRows' ./ingest/files
part "columns that change" \
  go test -count=1 -timeout 1h -run 'TestColumnsChangeAtRandom' ./store -columns 2000
part "a mesh of $NODES nodes with $PRODUCTS products each" \
  go test -count=1 -timeout 10h -run '^TestLargeMesh$' ./meshtest -nodes "$NODES" -products "$PRODUCTS"
part "a late node and $LATE records" \
  go test -count=1 -timeout 1h -run '^TestCatchUp$' ./meshtest -catchup "$LATE"
part "meshes that fail, many times" \
  go test -count=20 -timeout 3h -run 'Ten|Cut|Weather|Late|Revoked|Hidden|Hostile|Processes' ./meshtest
# Two tests bound memory, which the detector multiplies: a worker with it in can be given no limit.
part "the race detector" \
  go test -p 1 -count=1 -race -timeout 3h -skip '^(TestHostileIsCheap|TestMemoryBombs)$' ./...

# The fuzz targets, one line "package target" each. Most packages have none.
targets() {
  local pkg dir
  go list -f '{{.ImportPath}} {{.Dir}}' ./... | while read -r pkg dir; do
    { grep -hoE '^func Fuzz[A-Za-z0-9_]+' "$dir"/*_test.go 2>/dev/null || true; } | sed "s#^func #$pkg #"
  done
}
list=$(targets)
[ -n "$list" ] || { echo "nightly: no fuzz target was found" >&2; echo "fuzzing" >> "$logs/failed"; }
while read -r pkg fuzz; do
  [ -n "$fuzz" ] || continue
  # Shrinking an input that merely found new code would eat the time.
  part "fuzzing $pkg $fuzz for $FUZZTIME" \
    go test -run '^$' -parallel 1 -fuzz "^$fuzz\$" -fuzztime "$FUZZTIME" -fuzzminimizetime 10x "$pkg"
done <<< "$list"
alone "the answers of TPC-H over four nodes" \
  go run ./bench -strict -only tpch -scale 0.1 -rounds 1 -out "$logs/page.md"
alone "changed rows at a steady rate: $SUSTAINED" \
  go run ./bench -strict -only sustained -sustained "$SUSTAINED" -out "$logs/page.md"

[ "$ran" -gt 0 ] || { echo "nightly: no part matches $PARTS" >&2; exit 2; }
if [ -s "$logs/failed" ]; then
  sed 's/^/nightly: failed: /' "$logs/failed" >&2
  exit 1
fi
echo "the nightly run is done in $((SECONDS / 60)) minutes"
