# The house commands. Everything a target needs is installed or started by it, or it fails and says what is missing.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help setup build release demo test check proof soak mutants bench bench-push bench-idle screenshots recordings windows

SEEDS ?= 200

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 14

setup: ## install what the other targets need
	@scripts/need all

build: ## compile everything that the tests use
	@scripts/build

release: ## the two programs as they are given out
	@scripts/build release

demo: ## server and five desktops on this machine; DEMO_ARGS="--keep" leaves them running
	@scripts/build console
	cargo build --locked --package outfitter-cli --package outfitter-agent
	target/debug/outfitter demo $(DEMO_ARGS)

test: ## as root: every proof in its small size, on SQLite and PostgreSQL
	@scripts/test

recordings: ## docs/recordings anew: a liar caught while all is killed, an update proven
	@scripts/build
	@scripts/record lies
	@scripts/record update

screenshots: ## every page and state of console and portal into console/screenshots
	@scripts/need node chromium
	@scripts/build
	@npm --prefix console run screenshots

check: ## format, lints, docs, licences, generated files, house rules
	@scripts/need cargo-deny
	@scripts/mutants --check
	@cargo xtask check

proof: ## every proof in its stated size
	@OUTFITTER_PROOF_SIZE=full scripts/test

soak: ## SEEDS=n seeds of the simulator
	@scripts/soak $(SEEDS)

bench-push: ## as root: the push onto a hundred machines, beside Ansible
	@scripts/bench-push

bench-idle: ## one idle agent beside one idle salt-minion
	@scripts/bench-idle

windows: ## the agent for Windows, built here and run under wine
	@scripts/windows

mutants: ## faults put into the code by hand: does the simulator notice each?
	@scripts/mutants | scripts/put-table docs/proofs.md mutants

bench: ## the budgets, release build
	@scripts/with-postgres cargo bench --locked --package outfitter-server --bench fleet | scripts/put-table docs/benchmarks.md fleet
	@scripts/with-postgres cargo bench --locked --package outfitter-server --bench lists | scripts/put-table docs/benchmarks.md lists
