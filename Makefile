# `make help` lists the targets; docs are in README.md.
SHELL := /bin/bash
MODEL ?= smollm2
SECONDS ?= 60
PROMPT ?= Why does the moon have phases? Answer in three sentences.
# The names reach the recipes through the environment, so that any text is safe in them.
export MODEL PROMPT

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help run build setup setup-test setup-check setup-cuda setup-iree setup-iree-cuda configure test test-models \
  test-long test-iree check lint asan tsan fuzz fuzz-long fmt golden bench bench-serve clean

help: ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: build ## Stream an answer: MODEL=smollm2|gemma-3-270m|path PROMPT="..."
	@model=$$(scripts/fetch-model.sh "$$MODEL") && build/continuo generate --model "$$model" --auto "$$PROMPT"

build: configure ## The program, at build/continuo
	@ninja -C build/release
	@ln -sfn release/continuo build/continuo

setup: ## What the build needs: Debian packages, Rust, pinned wheels, locked crates and npm packages
	@scripts/setup.sh

setup-test: ## Besides, what test needs: Chromium, Python packages
	@scripts/setup.sh --test

setup-check: ## Besides, what check needs: clang, clippy, rustfmt
	@scripts/setup.sh --check

setup-cuda: ## Besides, the pinned CUDA plugin and NVIDIA's libraries (x86-64, 1.9 GB to download)
	@scripts/setup.sh --cuda

setup-iree: ## Besides, IREE for --executor iree: its compiler (84 MB to download), its runtime built in a minute
	@scripts/setup.sh --iree

setup-iree-cuda: ## The same with IREE's CUDA driver, for --device cuda (47 MB more to download)
	@scripts/setup.sh --iree-cuda

configure: setup
	@[[ build/release/build.ninja -nt CMakePresets.json ]] || cmake --preset release

test: build setup-test ## Unit, conformance, golden and end-to-end tests
	@model=$$(scripts/fetch-model.sh smollm2) && CONTINUO_SMOLLM2="$$model" ctest --preset release $(CTEST_OPTIONS)

test-iree: setup-iree build ## Every golden on IREE, and ragged batching on it
	@ctest --preset iree

test-long: build ## Ten minutes of hostile clients, a million simulated requests, more engines
	@ctest --preset long

test-models: build ## The real models against their reference logits
	@smollm2=$$(scripts/fetch-model.sh smollm2) && gemma=$$(scripts/fetch-model.sh gemma-3-270m) && \
	  CONTINUO_SMOLLM2="$$smollm2" CONTINUO_GEMMA_3_270M="$$gemma" ctest --preset models

check: lint asan tsan fuzz ## Format, lints, sanitizers, a minute of fuzzing

lint: setup-check configure ## clang-format, clang-tidy of what changed lately, rustfmt, clippy
	@scripts/lint.sh

asan: setup-check ## Unit and golden tests under the address and undefined-behaviour sanitizers
	@[[ build/asan/build.ninja -nt CMakePresets.json ]] || cmake --preset asan
	@ninja -C build/asan
	@ctest --preset asan $(CTEST_OPTIONS)

tsan: setup-check ## The engine's threads, over a device that is none, under the thread sanitizer
	@[[ build/tsan/build.ninja -nt CMakePresets.json ]] || cmake --preset tsan
	@ninja -C build/tsan engine_threads_test
	@ctest --preset tsan $(CTEST_OPTIONS)

fuzz: setup-check ## Every fuzzer at once: SECONDS=60
	@[[ build/fuzz/build.ninja -nt CMakePresets.json ]] || cmake --preset fuzz
	@scripts/fuzz.sh $(SECONDS) fuzzers

fuzz-long: setup-check ## The same with those that need all families compiled
	@[[ build/fuzz/build.ninja -nt CMakePresets.json ]] || cmake --preset fuzz
	@scripts/fuzz.sh $(SECONDS) fuzzers fuzzers_long

fmt: setup-check ## Format the sources in place
	@scripts/lint.sh --fix

golden: build ## Only the tests against reference outputs
	@ctest --preset release --label-regex '^golden$$'

bench: build ## Measure
	@build/release/bench/continuo_bench

bench-serve: build setup-test ## Measure the server: MODEL=..., 1 to 256 streams, 1,000 idle connections
	@bench/serve.py --model "$$MODEL"

clean: ## Remove the build, not the downloads
	@rm -rf build
