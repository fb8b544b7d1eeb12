# Every command a developer needs. Wants Python 3.11 or newer, cargo, make and a C compiler; makes the rest.

SHELL := /bin/bash
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

VENV := .venv
BIN := $(VENV)/bin
PY := $(BIN)/python
STAMPS := $(VENV)/stamps
# maturin must be on PATH when pip builds without isolation.
export PATH := $(CURDIR)/$(BIN):$(PATH)
export UV_PYTHON_DOWNLOADS := never
export PYTHONDONTWRITEBYTECODE :=

# The first interpreter that runs and is new enough; a shim of an inactive version fails here.
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	"$$p" -c 'import sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)
CORE_SOURCES := core/Cargo.toml core/Cargo.lock core/pyproject.toml core/ringdaq_core.pyi $(shell find core/src -name '*.rs' 2>/dev/null)
LOOM_FLAGS := --cfg loom

.PHONY: help setup gen gen-check lint format test test-fast test-core check-aarch64 soak bench bench-pipeline bench-record bench-ring bench-scripts demo lock clean

help: ## show this list
	@awk -F':.*## ' '/^[a-z0-9-]+:.*## / { printf "%-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

$(STAMPS)/deps: requirements.lock
	@test -n "$(PYTHON)" || { echo "ringdaq needs Python 3.11 or newer with venv; none was found on PATH" >&2; exit 1; }
	test -x $(PY) || $(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv pip sync --quiet --python $(PY) --require-hashes requirements.lock
	mkdir -p $(STAMPS) && rm -f $(STAMPS)/core $(STAMPS)/package && touch $@

$(STAMPS)/core: $(STAMPS)/deps $(CORE_SOURCES)
	$(PY) -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --force-reinstall ./core
	touch $@

$(STAMPS)/package: $(STAMPS)/deps pyproject.toml
	$(PY) -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

setup: $(STAMPS)/core $(STAMPS)/package ## make .venv with everything in it; rebuild the core where Rust changed

gen: $(STAMPS)/deps ## generate the code of the gRPC contract
	$(PY) proto/generate.py

gen-check: $(STAMPS)/deps
	$(PY) proto/generate.py --check

lint: setup gen-check ## style, types, import rules, core, contract
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	cd core && $(CURDIR)/$(PY) -m mypy.stubtest ringdaq_core --concise --allowlist stubtest-allow.txt
	$(PY) proto/lint.py
	cargo fmt --manifest-path core/Cargo.toml --check
	cargo clippy --manifest-path core/Cargo.toml --locked --all-targets --features python --quiet -- -D warnings
	$(MAKE) --no-print-directory check-aarch64

format: $(STAMPS)/deps ## put Python and Rust into the house style
	$(BIN)/ruff check --fix --quiet . || true
	$(BIN)/ruff format .
	cargo fmt --manifest-path core/Cargo.toml

test: setup test-core ## all tests but the soak ones
	$(PY) -m pytest -m "not soak" -n 2 --dist loadfile

test-fast: setup ## the quick tests, for daily work
	$(PY) -m pytest -m "not soak and not slow" -n 2 --dist loadfile -q

test-core: ## the Rust core: unit tests, models, vectors, mutations, kills, loom
	cargo test --manifest-path core/Cargo.toml --locked --quiet
	RUSTFLAGS="$(LOOM_FLAGS)" cargo test --manifest-path core/Cargo.toml --locked --quiet --release --lib --target-dir core/target/loom -- loom

check-aarch64: ## compile the core for the Raspberry Pi, up to linking
	core/check-aarch64

# In so many minutes, each long test of the ring reaches its full number.
MINUTES ?= 60
soak: setup ## the long tests, which share the minutes and end with counts; MINUTES=n
	RINGDAQ_SOAK_MINUTES=$(MINUTES) $(PY) -m pytest -m soak --timeout 0 -s

bench: setup ## measure against limits and peers; writes benchmarks/results/
	$(PY) -m benchmarks.main

.venv-pipeline-peers/ready: benchmarks/pipeline-peers.txt | $(STAMPS)/deps
	test -x .venv-pipeline-peers/bin/python || $(PYTHON) -m venv .venv-pipeline-peers
	-$(BIN)/uv pip install --quiet --python .venv-pipeline-peers/bin/python -r $< && touch $@

bench-pipeline: setup .venv-pipeline-peers/ready ## measure the pipeline beside C and peers; writes docs/explanations/pipeline-benchmarks.md
	$(PY) -m benchmarks.pipeline

bench-ring: setup ## measure the ring beside limits and peers; writes docs/explanations/benchmarks.md
	$(PY) -m benchmarks.ring_bench

bench-record: setup ## measure recording beside the disk's own limits
	$(PY) -m benchmarks.record

.venv-script-peers/ready: benchmarks/script-peers.txt | $(STAMPS)/deps
	test -x .venv-script-peers/bin/python || $(PYTHON) -m venv .venv-script-peers
	-$(BIN)/uv pip install --quiet --python .venv-script-peers/bin/python -r $< && touch $@

bench-scripts: setup .venv-script-peers/ready ## measure scripts, scans and the queue
	$(PY) -m benchmarks.scripts

demo: setup ## a whole rig in one command
	$(BIN)/ringdaq demo

lock: ## resolve requirements.lock anew
	$(BIN)/uv pip compile --quiet pyproject.toml --all-extras --group dev --universal --generate-hashes \
		--no-header --no-annotate --no-emit-package ringdaq-core --no-emit-package ringdaq -o requirements.lock

clean: ## remove everything that was made
	rm -rf $(VENV) .venv-bench core/target build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
