# The project's own commands; `make` alone lists them.
SHELL := /bin/bash
PYTHON ?= $(shell for p in python3.14 python3.13 python3.12 python3.11 python3; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)
VENV ?= .venv
BIN := $(VENV)/bin
EXTRAS ?= train,dev,wandb,tensorboard,slurm,video,export,openvino,mmseg,optimizers,docs
OPENMMLAB ?= .venv-openmmlab
JOBS ?= 2
export OMP_NUM_THREADS ?= 1

.PHONY: help setup demo loop test lint docs links dist bench bench-gpu picture openmmlab clean
.DEFAULT_GOAL := help

help:  ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

$(BIN)/.ready: pyproject.toml
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed; none was found on PATH" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	env -u PYTHONDONTWRITEBYTECODE VIRTUAL_ENV=$(abspath $(VENV)) $(BIN)/uv pip install --quiet --compile-bytecode -e ".[$(EXTRAS)]"
	$(BIN)/python -m compileall -q src
	@touch $@

setup: $(BIN)/.ready  ## Create .venv and install the project with its tools (about a minute)

demo: setup  ## Set everything up and search one architecture for classification and segmentation
	$(BIN)/python -m src.search 'objectives=[cls,seg]'

loop: setup  ## The whole loop on this machine: sample, train, fit, search, train, compare (15 minutes)
	$(BIN)/python -m src.loop

test: setup  ## Set everything up and run all tests (as root also those on a real SLURM, which they install)
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder --durations=15

lint: setup  ## Style and types
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy

docs: setup  ## Build the site, build/site/index.html: warnings are errors, and every link within it is followed
	@test build/doctrees/environment.pickle -nt docs/conf.py || rm -rf build/doctrees  # pages read by other rules are old
	rm -rf build/site
	$(BIN)/python -m sphinx -W --keep-going -q -d build/doctrees docs build/site
	folder=$$(mktemp -d) && $(BIN)/python -m src.explore out=build/site/explorer-page.html open=false hydra.run.dir=$$folder >/dev/null && rm -r $$folder
	$(BIN)/python -m tools.site.links build/site

links: setup  ## Ask the network for the pages of others that the site links to
	$(BIN)/python -m sphinx -q -b linkcheck -d build/doctrees docs build/links

dist: setup  ## Wheel and source archive, in dist/, with what a package's page will show checked
	rm -rf dist
	env -u VIRTUAL_ENV $(BIN)/uv build --quiet --out-dir dist
	$(BIN)/python -m twine check --strict dist/*

bench: setup  ## All benchmarks that need no data (ratios against peers, printed as tables)
	$(BIN)/python -m bench

bench-gpu: setup  ## What has to be measured on a GPU, in pieces of ten minutes (outputs/gpu)
	PYTHON=$(BIN)/python bench/gpu.sh

picture: setup  ## Draw the README's picture anew
	folder=$$(mktemp -d) && $(BIN)/python -m src.search 'objectives=[cls,seg]' hydra.run.dir=$$folder && cp $$folder/search.png docs/search.png

# mmengine 0.10.7 cannot read its own checkpoints with torch 2.6 and newer; its continuation can, and is imported the same way
$(OPENMMLAB)/.ready: pyproject.toml tools/build_mmcv.py
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed; none was found on PATH" >&2; exit 2; }
	$(PYTHON) -m venv $(OPENMMLAB)
	$(OPENMMLAB)/bin/python -m pip install --quiet --disable-pip-version-check uv
	export VIRTUAL_ENV=$(abspath $(OPENMMLAB)) PATH="$(abspath $(OPENMMLAB))/bin:$$PATH" && \
	  uv pip install --quiet -e ".[train,dev,export,video]" "setuptools<81" wheel ninja psutil && \
	  uv pip freeze | grep -E '^(torch|torchvision|numpy)==' > $(OPENMMLAB)/pins.txt && \
	  python tools/build_mmcv.py && \
	  uv pip install --quiet --constraint $(OPENMMLAB)/pins.txt -e ".[train,dev,export,video,openmmlab]" && \
	  uv pip uninstall --quiet mmengine && \
	  uv pip install --quiet --constraint $(OPENMMLAB)/pins.txt onedl-mmengine==0.10.12
	@touch $@

openmmlab: $(OPENMMLAB)/.ready  ## mmsegmentation, mmdetection and mmdetection3d with the networks, in an environment of their own (10 minutes)
	$(OPENMMLAB)/bin/python -m pytest -q tests/openmmlab -p no:cacheprovider -W ignore
	$(OPENMMLAB)/bin/python -c 'import mmengine, mmcv, mmseg, mmdet, mmdet3d, torch; \
	  print(*(f"{m.__name__} {m.__version__}" for m in (torch, mmengine, mmcv, mmseg, mmdet, mmdet3d)), sep=", ")'

clean:  ## Remove what the tools left behind (not outputs/)
	rm -rf .pytest_cache .mypy_cache .ruff_cache build dist
