# What a person does with this tree. Each target works in a fresh clone; `make help` lists them.
#
# CARGO_TARGET_DIR is respected. Only targets that say so install packages (as root) or need root.

.PHONY: help build demo test test-full lint fuzz properties bench clean
.DEFAULT_GOAL := help

TARGET_DIR := $(or $(CARGO_TARGET_DIR),target)
# The property tests' number of cases for `make properties`; each run tries other ones.
CASES ?= 10000
# How long `make fuzz` runs each target.
SECONDS ?= 900

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | while IFS='	' read -r name text; do printf '%-10s %s\n' "$$name" "$$text"; done

build: ## the agent and its plugins, as released
	cargo build --locked --release -p landfall -p landfall-plugin-file -p landfall-plugin-net -p landfall-plugin-disk

demo: build ## place a small disk image from a record with good and bad locations; needs no root, leaves nothing
	@bash tests/demo/demo.sh "$(TARGET_DIR)/release"

test: ## all tests; installs what they need when run as root, else skips by name
	@bash .ci/test

test-full: ## the same with the full counts of repeated tests
	@LANDFALL_FULL=1 bash .ci/test

lint: ## format, clippy, documentation, dependencies, scripts
	@bash .ci/lint

fuzz: ## coverage-guided, every target for 15 minutes (SECONDS=900); writes docs/fuzzing.md (TARGET=name,... prints only; KEEP=1 keeps it)
	@python3 -B tests/fuzz/run.py --seconds "$(SECONDS)" --target-dir "$(abspath $(TARGET_DIR))/fuzz" $(if $(TARGET),--target "$(TARGET)") $(if $(KEEP),--keep)

properties: ## the property tests with many cases each (CASES=10000); not coverage-guided
	PROPTEST_CASES=$(CASES) PROPTEST_MAX_GLOBAL_REJECTS=1000000 cargo test --locked --profile ci --workspace --no-fail-fast --lib --test properties --test inspect

bench: build ## measure against cp and openssl and write docs/benchmarks.md; needs root (CASE=name,... prints only; KEEP=1 keeps it)
	@bash tests/install.sh
	cargo build --locked --release -p landfall-rules --example ten_by_ten
	cargo build --locked --release -p landfall-measure --example simulate
	@python3 -B tests/bench/bench.py --binary "$(TARGET_DIR)/release/landfall" --results "$(TARGET_DIR)/bench" $(if $(CASE),--case "$(CASE)") $(if $(KEEP),--keep)

clean: ## remove what was built
	cargo clean
