# labkit: `make lab` opens the labs, `make test` runs every test. Works with GNU make 3.81 and newer.
#
# Everything goes into .venv. The stamps in it remember what is installed, for which pyproject.toml and in which
# folder, so that a second run starts in seconds.

PYTHON ?=
PY  := .venv/bin/python
PIP := $(PY) -m pip install --quiet --disable-pip-version-check --progress-bar off --root-user-action ignore
RING := .ci/ring

# Rings that have no tests yet. Such a ring passes with a warning, any other empty ring fails; one that has got
# tests fails until its name is gone from here, so that this list only shrinks.
export RINGS_NOT_BUILT :=
# More words for every call of pytest, such as `make test PYTEST_ARGS=--durations=20`.
PYTEST_ARGS ?=
PYTEST := $(PY) -m pytest -rs $(PYTEST_ARGS)

# A folder that was moved or copied holds a .venv that still points at the old place: begin again.
ifneq ($(shell cat .venv/.folder 2>/dev/null),$(CURDIR))
MOVED := moved
endif

.PHONY: help lab test test-lint test-types test-serial test-unit test-labs test-browser test-long bench-peers claims docs clean moved
.DEFAULT_GOAL := help

help: ## show this list
	@echo "labkit. Targets:"
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1	\2/p' $(MAKEFILE_LIST) | expand -t 22

lab: .venv/.installed ## install labkit into .venv and open the labs at http://localhost:8866
	@echo "labkit: opening the labs; stop with Ctrl-C"
	@.venv/bin/labkit lab

test: .venv/.tests ## install what the tests need and run every ring, stopping at the first failure
	@rm -f .venv/.rings
	@$(MAKE) --no-print-directory test-lint
	@$(MAKE) --no-print-directory test-types
	@$(MAKE) --no-print-directory test-serial
	@$(MAKE) --no-print-directory test-unit
	@$(MAKE) --no-print-directory test-labs
	@$(MAKE) --no-print-directory test-browser
	@$(RING) --summary

test-lint: .venv/.tests ## ruff: rules and format
	@$(RING) lint "ruff check: rules" $(PY) -m ruff check .
	@$(RING) format "ruff format: layout" $(PY) -m ruff format --check .

test-types: .venv/.tests ## mypy, strict
	@$(RING) types "mypy: types" $(PY) -m mypy

test-serial: .venv/.tests ## tests that measure time, alone on the machine
	@$(RING) serial "pytest, serial: what measures time, alone" $(PYTEST) -m "serial and not long"

test-unit: .venv/.tests ## unit, contract and architecture tests
	@$(RING) unit "pytest: units, contracts, architecture" $(PYTEST) -m "not serial and not long and not browser"

test-labs: .venv/.tests ## the notebooks: their committed outputs are compared with fresh ones
	@$(RING) labs "pytest --nbval: the labs' notebooks" $(PYTEST) --nbval --nbval-current-env --nbval-sanitize-with tests/labs/sanitize.cfg labs

test-browser: .venv/.tests .venv/.browser ## a real browser against a real server
	@$(RING) browser "pytest, browser: real pages from a real server" $(PYTEST) --reruns 1 -rsR -m "browser and not serial and not long"

test-long: .venv/.tests .venv/.browser ## what takes long: more fuzzing, the big networks
	@$(RING) long "pytest, long" $(PYTEST) -m long --timeout 3600

bench-peers: .venv/.tests .venv-peers/.installed ## time labkit beside ONNX Runtime, OpenVINO and DeepSparse, each in its own process
	@$(PY) -m benchmarks.peers

claims: .venv/.tests ## measure every claim anew and rewrite benchmarks/results (hours; goes on where it was stopped)
	$(PY) -m benchmarks.claims

docs: .venv/.tests ## rewrite the generated parts of README.md and of the methods' cards
	$(PY) docs/generate.py

clean: ## delete .venv and every cache
	rm -rf .venv .venv-peers .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist
	find labkit tests docs benchmarks labs -name __pycache__ -prune -exec rm -rf {} + 2>/dev/null || true

# --- the environment ---

moved:

.venv/.folder: $(MOVED)
	@python=`.ci/find-python "$(PYTHON)"` || exit 1; \
	echo "labkit: making .venv with $$python"; \
	"$$python" -m venv --clear .venv
	@printf '%s\n' "$(CURDIR)" > $@

.venv/.installed: pyproject.toml .venv/.folder
	@echo "labkit: installing labkit and what it needs into .venv; the first time this downloads much and takes minutes"
	@$(PIP) -e .
	@touch $@

.venv/.tests: pyproject.toml .venv/.installed
	@echo "labkit: installing what the tests need into .venv"
	@$(PIP) -e '.[test]'
	@touch $@

# DeepSparse ends at Python 3.11 and needs an older NumPy than labkit, so that the peers have an environment of their own.
PEERS := onnxruntime openvino deepsparse==1.7.1
.venv-peers/.installed:
	@python=`.ci/find-python python3.11 2>/dev/null || .ci/find-python "$(PYTHON)"` || exit 1; \
	echo "labkit: making .venv-peers with $$python"; \
	"$$python" -m venv --clear .venv-peers
	@for peer in $(PEERS); do \
	    .venv-peers/bin/python -m pip install --quiet --disable-pip-version-check --progress-bar off --root-user-action ignore 'numpy<2' "$$peer" \
	        || echo "labkit: $$peer does not install here; it is left out"; \
	done
	@touch $@

.venv/.browser: .venv/.tests
	@.ci/find-browser $(PY)
	@touch $@
