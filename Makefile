# `make demo` and `make test` work in a fresh checkout: what they need is installed into .venv.

PYTHON ?= python3
VENV := .venv
# Files of tests that run at once: twice the processors, as most of them wait for a program that they have started.
WORKERS ?= $(shell expr 2 \* $$(nproc))

# The tests start mntscope a thousand times: it is compiled once, whatever the caller's environment says.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test lint kernels runtimes previews bench notebooks fixtures man pyz deb clean

# The story of a leaking /proc on this kernel, in a throwaway namespace, then `mntscope diff` on the actors of
# its second act, who really leak: exit code 1 says that it was found.
demo: $(VENV)/.installed
	$(VENV)/bin/mntscope lab -- $(VENV)/bin/mntscope diff {pid} --against {host} || test $$? = 1

# EVERY=yes: also the files of tests that take longest, as CI does.
test: $(VENV)/.installed-dev
	$(VENV)/bin/python -m pytest $(if $(EVERY),,--quick) -n $(WORKERS) --dist loadfile --no-loadscope-reorder $(PYTEST)

# Each tool's own words are the failure message.
lint: $(VENV)/.installed-dev
	$(VENV)/bin/ruff check
	$(VENV)/bin/ruff format --check
	$(VENV)/bin/lint-imports --no-logo
	$(VENV)/bin/mypy
	$(VENV)/bin/pyright

# The kernels of Debian's suites, booted under qemu, as root. Some of them: KERNELS='5.10 6.1'; a part of what is done
# on each: STEPS='minimal selftest'; whatever else `python -m tests.kernels --help` tells: KERNELS='6.1 --few'.
kernels: $(VENV)/.installed-dev
	$(VENV)/bin/python -m tests.kernels $(KERNELS) $(if $(STEPS),--steps $(STEPS))

# Real containers and sandboxes, on throwaway hosts, as root. Some of them: RUNTIMES='docker nspawn'; a part of their
# options: RUNTIMES=--few; docs/runtimes.md anew: RUNTIMES='--page docs/runtimes.md'.
runtimes: $(VENV)/.installed-dev
	$(VENV)/bin/python -m tests.runtimes $(RUNTIMES)

# What runc and crun do, and what preview says that they do, as root. Other versions: PREVIEWS='/opt/runc-1.3/runc'.
previews: $(VENV)/.installed-dev
	$(VENV)/bin/python -m tests.preview $(PREVIEWS)

# Beside its peers, in one run, as root (it installs them); BENCH='--only start' for a part. The baseline of CI anew:
# BENCH='--baseline docs/benchmarks.json'.
bench: $(VENV)/.installed-dev
	$(VENV)/bin/python -m tests.benchmarks --json build/benchmarks.json $(BENCH)

# All notebooks from top to bottom, their outputs written back.
notebooks: $(VENV)/.installed-dev
	$(VENV)/bin/python notebooks/execute.py

# The captured machines again, from real scenes in throwaway namespaces.
fixtures: $(VENV)/.installed-dev
	$(VENV)/bin/python -m fixtures.make

# docs/man again, of the command line's parsers.
man: $(VENV)/.installed-dev
	$(VENV)/bin/python -m tests.release.man docs/man

# One file for a machine on which nothing may be installed: it runs with the Python that is there, from 3.11 on.
pyz: $(VENV)/.installed-dev
	$(VENV)/bin/python -m tests.release.pyz dist/mntscope.pyz

# A Debian package, for the Debian or Ubuntu that it is built on and those after it.
deb: $(VENV)/.installed-dev
	$(VENV)/bin/python -m tests.release.deb dist

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Two steps, so that the demonstration need not wait for the linters.
$(VENV)/.installed: pyproject.toml | $(VENV)/bin/pip
	@echo 'installing mntscope into $(VENV)'
	@$(VENV)/bin/pip install -qq --editable .
	@touch $@

$(VENV)/.installed-dev: pyproject.toml $(VENV)/.installed
	@echo 'installing the tests and linters into $(VENV)'
	@$(VENV)/bin/pip install -qq --editable '.[dev]'
	@touch $@

# Debian keeps the venv module's other half in a package of its own, which brings Python where there is none.
$(VENV)/bin/pip:
	@! command -v $(PYTHON) >/dev/null || $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo 'mntscope needs Python 3.11 or newer: make PYTHON=python3.11' >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    echo 'installing python3-venv' && apt-get update -qq && apt-get install -qq -y python3-venv >/dev/null; \
	  else \
	    echo 'there is no Python that makes virtual environments: apt install python3-venv, then run make again' >&2; exit 1; \
	  fi
	@$(PYTHON) -m venv $(VENV)
