# Go modules, found by their go.mod. Most targets do their work in each of them.
modules := $(patsubst %/,%,$(sort $(dir $(shell find * -name go.mod -not -path '*/node_modules/*'))))

# Go keeps its build cache in the user's cache folder. So does this repository.
cache := $(dir $(shell go env GOCACHE))lddynamodb

golangci_version := v2.14.0
golangci_lint := $(cache)/golangci-lint-$(golangci_version)/golangci-lint

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

##### Try it

.PHONY: demo dynamodb-local
demo: ## Show flags on their way from LaunchDarkly through DynamoDB into evaluations
	@echo "Building the demo. The first time, this takes some minutes: Go downloads and compiles both SDKs."
	@cd e2e && go run ./cmd/demo

dynamodb-local: ## Run a DynamoDB Local in the foreground, on PORT (default 8000)
	@go run ./internal/dynamolocal/cmd/dynamodb-local

##### Test

# How long make soak works.
SOAK ?= 60s

# How many random histories make fuzz-model tries.
RUNS ?= 5000

.PHONY: test test-tools test-allocations test-busy fuzz-model test-faults soak fleet test-node cover $(modules:%=test-in/%)
# A module whose tests fail keeps no other one from being tested.
test: test-tools ## Run the tests of all modules, with the race detector
	@$(MAKE) --no-print-directory --keep-going $(modules:%=test-in/%) test-allocations

# One line for what is missing, in place of an error of each test.
test-tools:
	@echo '#include <stdlib.h>' | $$(go env CC) -E - >/dev/null 2>&1 || { \
		echo "The race detector needs a C compiler: install one (Debian: apt-get install gcc libc6-dev, macOS: xcode-select --install)" >&2; exit 1; }
	@echo "Testing with the race detector: the root module takes some two minutes on two idle cores, the others about as long." \
		"The first time, compiling comes on top."
	@go run ./internal/dynamolocal/cmd/dynamodb-local prepare

# The fault suite takes minutes and the Node tests take Node.js, so these have
# targets of their own.
$(modules:%=test-in/%): test-in/%:
	@echo "Testing the module in $*"
	@cd $* && packages=$$(go list ./...) && go test -race $(test_flags) $$(echo "$$packages" | grep -v -e /e2e/faults -e /e2e/node)

# The go command takes an earlier result again where only files outside of the
# module have changed.
test-in/internal/documents: test_flags := -count=1

# The race detector allocates, so these tests run without it.
test-allocations: ## Count the allocations of reads
	@go test -run Allocate .
	@cd internal/bench && go test -run Allocate .

test-busy: test-tools ## Run the root's tests beside eight processes that burn the processor
	@.ci/busy go test -race -count=1 -timeout 40m .

fuzz-model: ## Try RUNS (default 5000) random histories of stores against a model
	@go test -count=1 -timeout 0 -run '^TestStoresDoWhatTheModelSays$$' . -rapid.seed=0 -rapid.checks=$(RUNS)

test-faults: ## Run the fault suite: outages, bad networks, DynamoDB killed and restarted
	@cd e2e/faults && go test -race -count=1 -timeout 30m

soak: ## Run stores in several processes with faults that come and go, for SOAK (default 60s)
	@cd e2e/faults && go test -race -count=1 -timeout 0 -v -run TestSoak -args -soak=$(SOAK)

fleet: ## Count what 20 clients cost that start at once, simulate 1,000, and draw docs/fleet.svg
	@cd internal/bench && go run ./fleet -chart $(CURDIR)/docs/fleet.svg
	@echo
	@cd e2e && go test -count=1 -v -run '^TestRestartedFleet$$' . | grep -e 'clients start' -e '^ok' -e FAIL

test-node: ## Check that the Node SDK and this package share a table
	@cd e2e && go test -race -count=1 ./node

cover: ## Show how much of the root package its own tests cover
	go test -coverprofile=coverage.out .
	go tool cover -func=coverage.out

##### Measure

.PHONY: bench bench-charts
bench: ## Measure this store against the SDK's own stores, and keep that in bench.out
	@cd internal/bench && go test -run '^$$' -bench . -timeout 2h . | tee $(CURDIR)/bench.out && ! grep -q ^FAIL $(CURDIR)/bench.out
	@cd internal/bench && go run ./report < $(CURDIR)/bench.out

bench-charts: bench.out ## Draw the charts of docs/benchmarks.md from bench.out
	@cd internal/bench && go run ./report -charts $(CURDIR)/docs < $(CURDIR)/bench.out

bench.out:
	@$(MAKE) bench

##### Check

.PHONY: lint lint-format lint-dependencies fmt vulnerabilities $(modules:%=lint-in/%) $(modules:%=vulnerabilities-in/%)
lint: lint-format lint-dependencies $(modules:%=lint-in/%) ## Check formatting, code and module files

lint-format:
	@unformatted=$$(gofmt -l .); test -z "$$unformatted" || { echo "make fmt would change:" $$unformatted; exit 1; }

# Applications get what the root module requires. The SDK v7 is for e2e alone.
lint-dependencies:
	@found=$$(go list -m -f '{{if not .Main}}{{.Path}}{{end}}' all | grep '^github.com/launchdarkly/go-server-sdk'); \
	test -z "$$found" || { echo "the root go.mod must not require:" $$found; exit 1; }

$(modules:%=lint-in/%): lint-in/%: $(golangci_lint)
	cd $* && go mod tidy -diff
	cd $* && go mod verify
	cd $* && go vet ./...
	cd $* && $(golangci_lint) run --config $(CURDIR)/.golangci.yml

# What a module merely requires does not count, only what its code can call.
vulnerabilities: $(modules:%=vulnerabilities-in/%) ## Look for known vulnerabilities in all modules

$(modules:%=vulnerabilities-in/%): vulnerabilities-in/%:
	cd $* && go run golang.org/x/vuln/cmd/govulncheck@latest ./...

# Built from source, which takes minutes the first time.
$(golangci_lint):
	GOBIN=$(@D) go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(golangci_version)

fmt: ## Format the code and tidy the module files
	gofmt -w .
	@set -e; for module in $(modules); do (cd $$module && go mod tidy); done
