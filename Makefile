# make build | demo | test | bench | nightly. Each does its own set-up: what is
# missing is installed, or named in one sentence with the command to type.
SHELL := /usr/bin/env bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := build

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS := -s -w -X main.version=$(VERSION)
TEST_TIMEOUT ?= 20m

.PHONY: build demo test short lint bench nightly setup setup-test clean

setup:
	@./scripts/setup.sh build

setup-test: setup
	@./scripts/setup.sh test

build: setup
	@go build -trimpath -ldflags '$(LDFLAGS)' -o bin/weft ./cmd/weft

demo: build
	@./bin/weft demo

# Formatting, vet and staticcheck, all pinned in go.mod.
lint: setup
	@out=$$(go tool gofumpt -l $$(git ls-files '*.go')); if [ -n "$$out" ]; then \
		echo "not formatted: $$out"; echo "run: go tool gofumpt -w ."; exit 1; fi
	@go vet ./...
	@go tool staticcheck ./...

# The whole check: static checks, every test with real servers and clients, the
# race detector where there is concurrency, and the demo's answers.
test: setup-test lint build
	@go test -timeout $(TEST_TIMEOUT) ./...
	@go test -short -race -timeout $(TEST_TIMEOUT) -skip '^TestHostileIsCheap$$' ./engine # its bound is of memory, which the detector multiplies
	@go test -short -race -timeout $(TEST_TIMEOUT) . ./run ./access ./backup ./budget ./records ./store ./federate ./node ./peer ./catalog ./openlineage ./serve/...
	@./bin/weft demo --check
	@./bin/weft demo --single --check
	@./scripts/tour.sh

# Hermetic and fast: no server, no network.
short:
	@go test -short ./...

bench: setup-test build
	@go run ./bench -out bench/README.md

# Long runs: many seeds, fuzzing, the whole test suite under the race detector.
nightly: setup-test build
	@./scripts/nightly.sh

clean:
	@rm -rf bin bench/out
