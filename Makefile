# Two commands set up everything on a fresh machine: `make quickstart` and `make test`.
PYTHON ?= python3
VENV   := .venv
PY     := $(VENV)/bin/python
READY  := $(VENV)/.ready
TIER   := tests/tier
# Tests at a time: one more than two cores can run, because many wait for a process of theirs.
WORKERS ?= 3
SIDE   := --ignore=tests/core -n $(WORKERS) --dist loadfile
FAST   := -m "not heavy and not slow" $(SIDE)
SLOW   := -m "slow and not heavy" $(SIDE)

.PHONY: pins quickstart test test-fast test-heavy test-web lint soak mutants bench setup lock clean

setup: $(READY)

# torch comes first and alone: whichever build of it pip finds is kept; vLLM's CPU build asks for no other.
$(READY): requirements/torch.txt requirements/lock.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("Loraform needs Python 3.11 or newer, this is %d.%d: make PYTHON=python3.11 ..." % sys.version_info[:2] if sys.version_info < (3, 11) else 0)'
	@echo "Setting up $(VENV) (about 4 GB, once) ..."
	$(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --quiet --upgrade pip
	$(PY) -m pip install --quiet -r requirements/torch.txt
	$(PY) -m pip install --quiet --no-deps -r requirements/lock.txt
	$(PY) -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

quickstart: setup
	@$(VENV)/bin/loraform quickstart

lint: setup
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports

test-fast: setup
	@$(TIER) start
	@$(TIER) lint $(MAKE) --no-print-directory lint
	@$(TIER) core $(PY) -m pytest -q tests/core --cov --cov-fail-under=100
	@$(TIER) fast $(PY) -m pytest -q $(FAST)
	@$(TIER) report

test: setup
	@$(TIER) start
	@$(TIER) lint $(MAKE) --no-print-directory lint
	@$(TIER) core $(PY) -m pytest -q tests/core --cov --cov-fail-under=100
	@$(TIER) fast $(PY) -m pytest -q $(FAST)
	@$(TIER) slow $(PY) -m pytest -q $(SLOW)
	@$(TIER) deep env HYPOTHESIS_PROFILE=deep $(PY) -m pytest -q -m hypothesis -n $(WORKERS)
	@$(TIER) soak $(PY) -m tests.soak --count $(HISTORIES) --seed $(or $(SEED),0)
	@$(TIER) heavy $(PY) -m pytest -q -m heavy
	@$(TIER) report

# Random histories of the reconciler under faults; each is told again by its seed: python -m tests.soak --seed N
HISTORIES ?= 1000
N ?= 100000
soak: setup
	$(PY) -m tests.soak --count $(N) --seed $(or $(SEED),0) --stats

# Mutates the core and looks which mutants its tests let live. The tool is no dependency: see docs/mutation.md.
MUTMUT ?= mutmut
mutants:
	@command -v $(MUTMUT) >/dev/null || { echo "make mutants needs mutmut 3 (docs/mutation.md): pip install it into an environment of its own, then make mutants MUTMUT=THAT/bin/mutmut" >&2; exit 1; }
	$(MUTMUT) run $(or $(MUTANTS),"reconciler.core.plan*" "reconciler.core.guardrails*" "reconciler.core.identity*")
	$(MUTMUT) results

# `make test` runs these too, where a Chromium is found.
test-web: setup
	@command -v chromium || command -v chromium-browser || command -v google-chrome || { echo "make test-web needs a Chromium: apt-get install chromium" >&2; exit 1; }
	$(PY) -m pytest -q -m web tests/emulator/test_page.py

bench: setup
	$(PY) -m bench

# Write down what is installed now. Run it after changing the environment on purpose.
lock: setup
	$(PY) -m pip freeze --all --exclude-editable | grep -v -E '^(torch|pip)==' > requirements/lock.new
	(sed -n '/^#/p' requirements/lock.txt; cat requirements/lock.new) > requirements/lock.tmp
	mv requirements/lock.tmp requirements/lock.txt
	rm requirements/lock.new

# What the images install, with hashes; after `make lock`, on the images' platform: Linux, x86-64, Python 3.11.
pins: setup
	$(PY) -m pip install --quiet --dry-run --ignore-installed --no-deps -r requirements/lock.txt --report .pins.json
	$(PY) requirements/pin.py .pins.json
	rm .pins.json

clean:
	rm -rf .loraform build dist *.egg-info
