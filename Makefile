# make setup   the environment, in .venv
# make run     environment, the main job end to end on data that ships with scikit-learn, then the app
#              (make run APP=0 ends after the report; make run STORE=dir keeps its results elsewhere)
# make test    environment, then every check that CI runs
# make gpu     tests marked gpu, on a machine with CUDA
# make docs    docs/commands.md, from the commands' own help

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
APP    ?= 1
PORT   ?= 8501
STORE  ?= explorer-store
OUT    ?= quickstart-out
STAMP  := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help setup run test lint types unit gpu docs clean

help:
	@sed -n 's/^# //p' Makefile | head -6

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(0 if v >= (3, 11) else f"Python 3.11 or newer is needed, {sys.executable} is {v.major}.{v.minor}; set PYTHON=")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $(STAMP)

run: setup
	$(BIN)/explorer quickstart --store $(STORE) --out $(OUT)
ifneq ($(APP),0)
	$(BIN)/explorer app --store $(STORE) --port $(PORT)
endif

test: setup lint types unit

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup
	$(BIN)/mypy

unit: setup
	$(BIN)/python -m pytest -m "not gpu" -n 2 --dist loadfile

gpu: setup
	@$(BIN)/python -c 'import sys, torch; sys.exit(0 if torch.cuda.is_available() else "no CUDA device: make gpu needs one (README, section GPU)")'
	$(BIN)/python -m pytest -m gpu

docs: setup
	$(BIN)/python -m explorer.commands.reference

clean:
	rm -rf .pytest_cache .mypy_cache .ruff_cache build *.egg-info
