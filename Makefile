# Every target with a "##" behind it is in `make help`.

SHELL       := bash
.SHELLFLAGS := -eu -o pipefail -c
MAKEFLAGS   += --no-print-directory
.DEFAULT_GOAL := help

# Tools are built from source at these versions into .cache/bin.
GOLANGCI_LINT_VERSION := v2.6.2
GOVULNCHECK_VERSION   := v1.1.4
BIN           := $(CURDIR)/.cache/bin
GOLANGCI_LINT := $(BIN)/golangci-lint-$(GOLANGCI_LINT_VERSION)
GOVULNCHECK   := $(BIN)/govulncheck-$(GOVULNCHECK_VERSION)

VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
COMMIT  := $(shell git rev-parse --short=12 HEAD 2>/dev/null || echo unknown)
LDFLAGS := -s -w -X main.version=$(VERSION) -X main.commit=$(COMMIT)

# The race detector needs a C compiler. Without one the tests run without it.
CC_HERE := $(shell command -v $$(go env CC) 2>/dev/null)
ifeq ($(CC_HERE),)
RACE :=
CGO  := 0
else
RACE := -race
CGO  := 1
endif

PKG       ?= ./...
FUZZTIME  ?= 20s
BENCH     ?= .
BENCHTIME ?= 1s
IMAGE     ?= starling:$(VERSION)

.PHONY: help
help: ## this list
	@awk 'BEGIN {FS = ":.*## "} /^[a-z0-9-]+:.*## / {printf "  %-12s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

.PHONY: build
build: ## build bin/starling, one static binary
	CGO_ENABLED=0 go build -trimpath -ldflags '$(LDFLAGS)' -o bin/starling ./cmd/starling

.PHONY: run
run: build ## build, load the example patients, print a card and keep serving on 127.0.0.1:8080
	./bin/starling demo

.PHONY: test
test: ## all tests, with the race detector where there is a C compiler
	@$(if $(RACE),,echo "no C compiler: the tests run without the race detector";) \
	CGO_ENABLED=$(CGO) go test $(RACE) -timeout 20m $(PKG)

# HL7's 5,306 example resources, as published on npm. Tests that find them read
# them too; under -race a fixed twentieth, in test-full all of them.
R4_EXAMPLES        := hl7.fhir.r4.examples@4.0.1
R4_EXAMPLES_SHA256 := dce87f1b5b9341867033f7d1f544fa1b5232503f6d62813887ac6b8a8b6cb682
R4_EXAMPLES_DIR    := $(CURDIR)/.cache/r4-examples
ifneq ($(wildcard $(R4_EXAMPLES_DIR)/package/package.json),)
export STARLING_R4_EXAMPLES ?= $(R4_EXAMPLES_DIR)/package
endif

.PHONY: r4-examples
r4-examples: $(R4_EXAMPLES_DIR)/package/package.json ## fetch HL7's R4 examples for the tests that read them

$(R4_EXAMPLES_DIR)/package/package.json:
	mkdir -p $(R4_EXAMPLES_DIR)
	cd $(R4_EXAMPLES_DIR) && npm pack --silent $(R4_EXAMPLES)
	cd $(R4_EXAMPLES_DIR) && echo "$(R4_EXAMPLES_SHA256)  hl7.fhir.r4.examples-4.0.1.tgz" | sha256sum --check --quiet
	tar -xzmf $(R4_EXAMPLES_DIR)/hl7.fhir.r4.examples-4.0.1.tgz -C $(R4_EXAMPLES_DIR)

.PHONY: test-full
test-full: ## the tests that read large sample sets, on the whole sets, without the race detector
	go test -count=1 ./fhir/resource ./fhir/search
	go test -count=1 -run '^TestFootprint$$' ./fhir/store/mongo

LEAK_REQUESTS ?= 1000000
.PHONY: test-leaks
test-leaks: ## a million random requests with a patient's token, a quarter of an hour
	STARLING_LEAK_REQUESTS=$(LEAK_REQUESTS) go test -count=1 -timeout 0 -v -run '^TestLeaks$$' ./fhir/rest

.PHONY: test-mongo
test-mongo: ## tests on MongoDB: STARLING_TEST_MONGODB_URI names a replica set to make databases in
	@if [ -z "$${STARLING_TEST_MONGODB_URI:-}" ]; then \
		echo "test-mongo: STARLING_TEST_MONGODB_URI is not set; see docs/how-to/mongodb.md" >&2; exit 1; fi
	go test -count=1 -timeout 20m ./fhir/store/mongo/...
	go test -count=1 -timeout 20m -run '$(MONGO_OWN)' ./cmd/starling
	$(MAKE) test-on-mongo

# The end-to-end tests of the REST API, of the hooks and of the program, which
# run on the embedded store in `make test`, once more on MongoDB. MONGO_OWN are
# tests that use MongoDB anyway, and the kill of a server alone: it waits for the
# end of what the killed one left open, a minute each time.
MONGO_OWN := TestServersOnOneDatabase|TestServerKilledAmongOthers|TestConnectionLost|TestMongoRefused|TestStandalone|TestMigrateMongo|TestCheckMongo|TestSearchParametersOfSeveralServers
# What does not depend on the store takes minutes on the test engine, too.
NOT_OF_STORES := TestLeaksAreSeen|TestErrors$$|TestXMLOfEveryInteraction|^Fuzz
.PHONY: test-on-mongo
test-on-mongo:
	@if [ -z "$${STARLING_TEST_MONGODB_URI:-}" ]; then \
		echo "STARLING_TEST_MONGODB_URI is not set: the end-to-end tests do not run on MongoDB; in CI the tests of the store fail for that"; \
	else \
		STARLING_TEST_STORE=mongodb go test -count=1 -timeout 20m -skip '$(MONGO_OWN)|$(NOT_OF_STORES)|TestKilledUnderLoad|TestReference' ./fhir/rest ./cmd/starling; \
	fi

.PHONY: bench-mongo
bench-mongo: ## benchmarks of the MongoDB store, on the replica set of STARLING_TEST_MONGODB_URI
	go test -run '^$$' -bench '$(BENCH)' -benchmem -benchtime $(BENCHTIME) ./fhir/store/mongo

# The tests on MongoDB mostly wait for the database: they run beside what keeps
# the processors busy. What go test says of all tests comes last.
.PHONY: check check-code
check: ## everything a change must pass; CI runs this
	$(MAKE) -j2 --output-sync=target check-code test-on-mongo
	$(MAKE) test

check-code:
	$(MAKE) -j1 fmt-check vet tidy-check lint vuln test-full

.PHONY: fmt
fmt: $(GOLANGCI_LINT) ## format the code
	$(GOLANGCI_LINT) fmt ./...

.PHONY: fmt-check
fmt-check: $(GOLANGCI_LINT)
	@diff=$$($(GOLANGCI_LINT) fmt --diff ./...); \
	if [ -n "$$diff" ]; then echo "$$diff"; echo "not formatted: run make fmt"; exit 1; fi

.PHONY: vet
vet:
	go vet ./...

.PHONY: tidy-check
tidy-check:
	go mod tidy -diff
	go mod verify

.PHONY: lint
lint: $(GOLANGCI_LINT) ## lint by .golangci.yml
	$(GOLANGCI_LINT) run $(PKG)

# The vulnerability database is on the network: a machine that cannot reach it
# says so and goes on; a finding fails.
.PHONY: vuln
vuln: $(GOVULNCHECK)
	@out=$$($(GOVULNCHECK) ./... 2>&1) && status=0 || status=$$?; \
	if [ $$status -eq 3 ]; then echo "$$out"; exit 1; fi; \
	if [ $$status -ne 0 ]; then echo "govulncheck could not run here (its database is not reachable): skipped"; fi

SCALE ?= 1 4 16
.PHONY: bench-scale
bench-scale: ## searches on 1, 4 and 16 copies of the sample set, or SCALE="1 16 64": 3 GB of disk for each 4 copies
	STARLING_SCALE="$(SCALE)" go test -run '^$$' -bench '^BenchmarkScale$$' -benchtime 1x -timeout 0 ./cmd/starling

.PHONY: bench
bench: ## benchmarks; choose with BENCH=regexp PKG=./fhir/search
	go test -run '^$$' -bench '$(BENCH)' -benchmem -benchtime $(BENCHTIME) $(PKG)

.PHONY: fuzz
fuzz: ## every fuzz target in turn, FUZZTIME=20s each
	@for pkg in $$(git ls-files -co --exclude-standard '*_test.go' | xargs grep -l '^func Fuzz' | xargs -n1 dirname | sort -u); do \
		for target in $$(grep -ho '^func Fuzz[A-Za-z0-9_]*' $$pkg/*_test.go | cut -d' ' -f2); do \
			echo "$$pkg $$target"; \
			go test ./$$pkg -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME); \
		done; \
	done

.PHONY: docs
docs: ## rewrite the generated pages of docs/reference
	go test ./cmd/starling -run '^TestReference' -update
	go test ./fhir/rest -run '^TestReferenceConformance$$' -update
	go test ./profiles -run Docs -update

.PHONY: image
image: ## build the container image
	@docker info >/dev/null 2>&1 || { echo "make image needs a running container engine; none answers here" >&2; exit 1; }
	docker build --build-arg VERSION=$(VERSION) --build-arg COMMIT=$(COMMIT) -t $(IMAGE) .

$(GOLANGCI_LINT):
	GOBIN=$(BIN) go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_LINT_VERSION)
	mv $(BIN)/golangci-lint $@

$(GOVULNCHECK):
	GOBIN=$(BIN) go install golang.org/x/vuln/cmd/govulncheck@$(GOVULNCHECK_VERSION)
	mv $(BIN)/govulncheck $@
