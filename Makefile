# What can be done here; `make` lists it. The environments are made on first use and kept: .venv for the captions (no torch),
# .venv-dev for everything else. Another Python: make PYTHON=/path/to/python3.12 ...
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

RECIPE ?= english
CHECKPOINT ?= runs/$(RECIPE)/best.pt
BUNDLE ?= runs/$(RECIPE)/bundle
ARGS ?=
export PYTHON
CLIENT_SIZE := about 50 MB
DEVELOPMENT_SIZE := about 3 GB, most of it torch
PEERS_SIZE := about 250 MB

.PHONY: help captions test lint train export benchmark soak test-client clean

help:  ## list what can be done
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

captions: .venv/ready  ## live captions from the microphone; without one, of a sample recording (downloads about 50 MB)
	@ldconfig -p 2>/dev/null | grep -q libportaudio || .ci/packages libportaudio2 || true
	@.venv/bin/asr live --or-recording recordings/sample.flac $(ARGS)

test: .venv-dev/ready  ## all tests (downloads about 3 GB); ARGS="tests/test_cli.py -k help" for some
	@.venv-dev/bin/python -m pytest $(ARGS)

lint: .venv-dev/ready  ## the code style, by ruff
	@.venv-dev/bin/ruff check .

train: .venv-dev/ready  ## train a model: RECIPE=toy (a minute, on recordings/) or english; ARGS=--resume goes on
	@.venv-dev/bin/asr train $(RECIPE) $(ARGS)

export: .venv-dev/ready  ## turn CHECKPOINT=FILE into BUNDLE=FOLDER, with a report on parity
	@.venv-dev/bin/asr export $(CHECKPOINT) $(BUNDLE) $(ARGS)

benchmark: .venv-dev/ready $(if $(findstring --peers,$(ARGS)),.venv-dev/peers)  ## measure errors, speed, latency, memory; ARGS="--speech ../shared/speech --peers" for more
	@.venv-dev/bin/asr benchmark $(ARGS)

soak: .venv-dev/ready  ## four hours of sound as fast as can be heard (minutes): memory, speed, losses; ARGS="--hours 0.5"
	@.venv-dev/bin/asr benchmark --parts idle,soak $(ARGS)

test-client:  ## install the client alone in a new environment, without torch, and use it
	@rm -rf .venv-client
	@.ci/environment .venv-client '$(CLIENT_SIZE)' .
	@cd recordings && ../.venv-client/bin/python -c "import sys, importlib.util as u, asr.client.recognizer; \
		sys.exit('torch' in sys.modules or u.find_spec('torch') is not None)"
	@cd recordings && ../.venv-client/bin/asr --version && ../.venv-client/bin/asr transcribe sample.flac
	@rm -rf .venv-client

clean:  ## remove the environments and caches
	@rm -rf .venv .venv-dev .venv-client .pytest_cache .ruff_cache .hypothesis

.venv/ready: pyproject.toml
	@.ci/environment .venv '$(CLIENT_SIZE)' --editable '.[live]'

.venv-dev/ready: pyproject.toml
	@.ci/environment .venv-dev '$(DEVELOPMENT_SIZE)' --editable '.[live,distributed,train,export,synthesis,benchmark,dev]'
	@.venv-dev/bin/pip install --quiet --editable '.[native]' 2>/dev/null \
		|| echo "no C++ compiler or no Python headers: tests that compare with KenLM's package will be skipped"

.venv-dev/peers: .venv-dev/ready
	@.ci/environment .venv-dev '$(PEERS_SIZE)' --editable '.[peers]'
	@touch $@
