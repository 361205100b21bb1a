# make demo    install into .venv and run the default study
# make test    install and run the tests
# make check   format, lint, types, floors
# make bench   measure what people run today against ours; half an hour on a quiet machine.
#              BENCH=--quick tries it out, BENCH="--size T M --part none" measures some of it
# make faults  kill, stop, starve and damage studies, hundreds of times, and say what held;
#              FAULTS="-k SIGKILL" tries some of it, FAULTS_AT_MOST=2 each a few times
# make replay  simulate all samplers and pruners on the recorded curves again; GP takes hours

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: demo test check bench faults format clean

demo: $(STAMP)
	$(BIN)/sweeper run studies/plateau.yaml

test: $(STAMP)
	$(BIN)/python -m pytest --numprocesses=auto --dist=worksteal

check: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(STAMP)
	$(BIN)/python -m tests.benchmarks $(BENCH)

faults: $(VENV)/.faults
	$(BIN)/python -m tests.faults $(FAULTS)

# Ray is larger than all else that the tests need, and only one of these does.
$(VENV)/.faults: $(STAMP)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev,ray]'
	touch $(VENV)/.faults

REPLAY := $(BIN)/sweeper simulate studies/plateau.yaml --bank studies/banks/plateau.npz
replay: $(STAMP)
	$(REPLAY) --sampler tpe --sampler random --sampler cmaes --out reports/replay
	$(REPLAY) --sampler gp --seeds 10 --out reports/replay/gp

format: $(STAMP)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# torch first: another package's looser demand would bring its newest build, with
# gigabytes for a GPU that may not be there.
$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt torch
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $(STAMP)

clean:
	rm -rf $(VENV) build dist *.egg-info
