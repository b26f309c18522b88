# VAS: the commands that people and CI run.
.DEFAULT_GOAL := help
.PHONY: help setup build wheel demo dist test test-long test-containers test-dist test-hosts test-mediasoup fuzz bench lint clean
SHELL := /bin/bash

# The model checker's atomics replace the real ones; built separately, since everything that depends on them differs.
LOOM = RUSTFLAGS="$$RUSTFLAGS --cfg loom"
LOOM_DIR = --target-dir $${CARGO_TARGET_DIR:-target}/loom
TARGET = $${CARGO_TARGET_DIR:-target}

help: ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: ## install what is missing (Debian 12 or 13; uses sudo when not root)
	@scripts/setup.sh test

build: ## build the service
	@scripts/setup.sh build
	cargo build --locked --release -p vas -p vas-replay

wheel: ## build the Python package, in target/wheels
	@scripts/setup.sh wheel
	tests/python/run.sh --wheel

demo: ## a camera, the service and a reader, on this machine
	@scripts/setup.sh demo
	cargo build --locked -p vas
	@scripts/demo.sh

dist: ## one archive that runs on any Linux with glibc 2.31 or later (needs root)
	@scripts/setup.sh test
	scripts/dist

test: setup ## all tests
	# The build without the tap, with which "off" is compared. It shares everything but the service itself.
	cargo build --locked -p vas --no-default-features
	install -D -t $(TARGET)/no-export/debug $(TARGET)/debug/vas $(TARGET)/debug/vas-shard
	cargo build --locked -p vas -p vas-replay
	cargo test --locked --workspace
	tests/python/run.sh
	bench/idle --check
	bench/instructions
	scripts/ran cargo test --locked -p vas-frame --features mutants --test hammer mutants::
	$(LOOM) scripts/ran cargo test --locked $(LOOM_DIR) -p vas-frame --test model
	tests/fuzz/run.sh short

test-long: test ## all tests, and the long ones
	cargo test --locked -p vas-tests -p vas-frame -- --ignored
	scripts/ran cargo test --locked -p vas-media --test rtsp -- --ignored --nocapture churn
	tests/python/run.sh --installed
	scripts/test-aarch64
	scripts/test-hosts
	$(MAKE) test-dist test-containers
	scripts/check-ptx
	LOOM_MAX_PREEMPTIONS=3 $(LOOM) scripts/ran cargo test --locked $(LOOM_DIR) -p vas-frame --test model

test-hosts: ## the tests that depend on FFmpeg, on Debian 13 and testing (needs root)
	@scripts/setup.sh test
	scripts/test-hosts

test-dist: dist ## the archive on bare Debian systems (needs root)
	scripts/test-dist target/dist/vas-$$(sed -n 's/^version = "\(.*\)"$$/\1/p' Cargo.toml | head -1)-linux-$$(uname -m).tar.zst

test-containers: dist ## the images, run by podman (needs root)
	@scripts/setup.sh containers
	scripts/test-containers

test-mediasoup: ## the producer against MediaSoup; the first time builds its worker (10 minutes)
	@scripts/setup.sh mediasoup
	cargo build --locked -p vas
	tests/mediasoup/run.sh

fuzz: setup ## hostile files, fifteen million times; keeps the table in bench/results
	tests/fuzz/run.sh long

bench: ## run the benches; keeps the results in bench/results
	@scripts/setup.sh bench
	for name in slot_write paced scaling reader_copy wake crowd handover first_frame demand crash cpu idle ingest scale recorders peers gate gate_instructions; do bench/run.sh $$name || exit; done

lint: ## format, lints, docs, emoji, dependencies
	@scripts/setup.sh lint
	cargo fmt --all --check
	clang-format --dry-run -Werror src/c/*.[ch] src/c/tests/*.c
	clang-format --style=file:src/c/.clang-format --dry-run -Werror bench/readers/*.c cuda/*.cu src/scale/tests/cuda/*.cc tests/sim-gpu/*.cc
	scripts/build-ptx --check
	scripts/check-emoji --self-test
	scripts/check-emoji
	scripts/check-deps --self-test
	scripts/check-deps
	cargo deny --locked check --hide-inclusion-graph -D warnings bans licenses sources
	scripts/check-tap --self-test
	scripts/check-tap
	cargo clippy --locked --workspace --all-targets -- -D warnings
	cargo clippy --locked -p vas-frame --all-targets --features mutants -- -D warnings
	cargo clippy --locked -p vas -p vas-shard --no-default-features -- -D warnings
	$(LOOM) cargo clippy --locked $(LOOM_DIR) -p vas-frame --lib --test model -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --workspace --no-deps --document-private-items

clean: ## remove what was built
	cargo clean
