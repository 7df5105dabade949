#!/usr/bin/env bash
# What takes long: everything under the race detector, many seeds, every fuzz
# target for a while.
set -euo pipefail
cd "$(dirname "$0")/.."
FUZZTIME=${FUZZTIME:-2m}
WEFT_SEEDS=${WEFT_SEEDS:-2000} go test -count=1 -timeout 3h ./...
go test -race -timeout 3h ./...
go list ./... | while read -r pkg; do
  dir=$(go list -f '{{.Dir}}' "$pkg")
  grep -hoE '^func Fuzz[A-Za-z0-9_]+' "$dir"/*_test.go 2>/dev/null | awk '{print $2}' | while read -r fuzz; do
    echo "fuzzing $pkg $fuzz for $FUZZTIME"
    go test -run '^$' -fuzz "^$fuzz\$" -fuzztime "$FUZZTIME" "$pkg" < /dev/null
  done
done
