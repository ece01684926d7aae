# `make help` lists the targets; each needs Go, and says what else it needs.

SHELL := /bin/sh
.DEFAULT_GOAL := help

GOLANGCI_LINT_VERSION := v2.15.0

# Parameters, each to be set on the command line: `make bench BENCH_ROUNDS=60`.
BENCH           ?= .#       Go benchmarks that run, as a regular expression
BENCH_TIME      ?= 1s#      duration of each, or a count such as 1000x
BENCH_COUNT     ?= 1#       repetitions of each: 10 for benchstat
BENCH_TOKENS    ?= 10000#   tokens in the comparison of gateways
BENCH_ROUNDS    ?= 50#      rounds of it: in each, plain Caddy and Scopegate are measured once
BENCH_SECONDS   ?= 1#       duration of one measurement
BENCH_FLAGS     ?=#         more flags for it: `go -C bench run . -help` lists them
SOAK_RUN        ?= .#       tests that `make soak` runs, as a regular expression
SOAK_FUZZ_TIME  ?= 60s#     duration of each fuzz target

# What ./caddy is made of: the sources, and what they embed.
SOURCES = imports.go go.mod go.sum xcaddy.sh \
	$(shell find $(filter-out bench/ data/ docs/ testdata/,$(wildcard */)) -type f ! -name '*_test.go' ! -path '*/testdata/*' 2>/dev/null)

TOOLS         := .tools
GOLANGCI_LINT := $(TOOLS)/golangci-lint-$(GOLANGCI_LINT_VERSION)

.NOTPARALLEL:

.PHONY: help run test screenshots soak bench bench-go bench-gateways lint

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: caddy ## Run the example gateway on http://localhost:8080, an example upstream beside it
	@mkdir -p data
	./caddy run --config Caddyfile.example --adapter caddyfile

caddy: $(SOURCES)
	./xcaddy.sh --output $@

test: ## Run every test under the race detector; installs what they need on Debian and Ubuntu
	.ci/deps.sh cc promtool redis-server chromium axe-core
	CGO_ENABLED=1 go test -race -shuffle=on -count=1 -timeout 20m ./...
	cd bench && go vet ./... && CGO_ENABLED=1 go test -race -count=1 ./...

screenshots: ## Take the pictures of the console that the documentation shows
	.ci/deps.sh chromium axe-core
	SCOPEGATE_SCREENSHOTS='$(CURDIR)/docs/images' go test -count=1 -run 'TestBrowser/screenshots' ./caddymodule

soak: ## Run the long variants of the tests, then each fuzz target for a minute
	.ci/deps.sh cc promtool redis-server chromium axe-core
	SCOPEGATE_SOAK=1 CGO_ENABLED=1 go test -race -count=1 -timeout 4h -run '$(SOAK_RUN)' ./...
	SCOPEGATE_SOAK=1 go test -count=1 -timeout 1h -run TestRandomCredentials ./caddymodule # its memory counts
	.ci/fuzz.sh $(SOAK_FUZZ_TIME)

bench: bench-go bench-gateways ## Run the benchmarks of the packages, then the comparison of gateways

bench-go: ## Run the Go benchmarks, with allocations
	go test -run '^$$' -bench '$(BENCH)' -benchmem -benchtime $(BENCH_TIME) -count $(BENCH_COUNT) -timeout 2h ./scopes ./store ./proxy ./limits ./usage ./notify ./caddymodule

bench-gateways: caddy ## Compare the gateway with plain Caddy, nginx and HAProxy, side by side (Linux)
	.ci/deps.sh wrk nginx haproxy taskset
	go -C bench run . -caddy '$(CURDIR)/caddy' -tokens $(BENCH_TOKENS) -rounds $(BENCH_ROUNDS) \
		-duration $(BENCH_SECONDS)s $(BENCH_FLAGS)

lint: $(GOLANGCI_LINT) ## Check style, formatting and go.mod
	go mod verify
	go mod tidy -diff
	cd bench && go mod tidy -diff
	$(CURDIR)/$(GOLANGCI_LINT) run ./...
	cd bench && $(CURDIR)/$(GOLANGCI_LINT) run --config ../.golangci.yml ./...

# Built from source once, with the Go that builds the rest, so that it understands this Go version.
$(GOLANGCI_LINT):
	@mkdir -p $(TOOLS)
	GOBIN='$(CURDIR)/$(TOOLS)' CGO_ENABLED=0 go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_LINT_VERSION)
	mv $(TOOLS)/golangci-lint $@
