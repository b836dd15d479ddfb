# Every command of the project; `make help` lists them. They are the same here and in CI.
PYTHON ?= python3
# `make repro TORCH=cpu` installs PyTorch's CPU wheels (200 MB) instead of the CUDA build (3 GB).
TORCH ?=
export BIN := .venv/$(if $(filter Windows_NT,$(OS)),Scripts,bin)
export PATH := $(CURDIR)/$(BIN):$(PATH)
READY := .venv/ready$(if $(TORCH),-$(TORCH))

.DEFAULT_GOAL := help
.PHONY: help repro report test ui sync test-servers check format requirements clean

help:  ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

repro: $(READY)  ## set up, then run the pipeline: data, training, comparison
	@python -m lab.params
	@dvc repro

report: $(READY)  ## compare the results here with a baseline (BASE=, default: where the branch began)
	@python report.py --base "$(BASE)"

test: $(READY)  ## set up, then pass the tests
	@python -m pytest -n auto

ui: $(READY)  ## open the MLflow UI on the recorded runs (port 5000, or UI_PORT=)
	@python -m lab.tracking ui

sync: $(READY)  ## send recorded runs to the MLflow server or DagsHub repository that is configured
	@python sync.py

# Every fault at every request takes minutes, so it is no part of `make test`.
OLD_MLFLOW := .venv/mlflow-2.7
test-servers: $(READY)  ## tests of the mirror in full, against this MLflow and against 2.7
	@test -x $(OLD_MLFLOW)/bin/mlflow || (uv venv -q --python 3.11 $(OLD_MLFLOW) && \
	  uv pip install -q --python $(OLD_MLFLOW)/bin/python "mlflow==2.7.1" "setuptools<81")
	@FAULT_CAMPAIGN=1 python -m pytest -q tests/test_mirror.py
	@FAULT_CAMPAIGN=1 OLD_MLFLOW_PYTHON=$(CURDIR)/$(OLD_MLFLOW)/bin/python \
	  python -m pytest -q tests/test_mirror.py

check: $(READY)  ## lint, types, workflows
	@ruff format --check .
	@ruff check .
	@mypy

format: $(READY)  ## rewrite the code as `make check` wants it
	@ruff format .
	@ruff check --fix .

requirements: $(READY)  ## compile requirements.in into pins and hashes
	uv pip compile -q --upgrade --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --custom-compile-command "make requirements" \
	  requirements.in -o requirements.txt

clean:  ## remove the virtual environment (results and caches stay)
	rm -rf .venv

# The marker is written last, so an interrupted set-up starts over; it is older than
# requirements.txt as soon as that changes. uv's own pin and hash come from the same file.
$(READY): requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; got " + sys.version.split()[0] + "; set PYTHON=")'
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@sed -n '/^uv==/,/[^\\]$$/p' requirements.txt > .venv/uv.txt
	@python -m pip install -q --disable-pip-version-check --require-hashes -r .venv/uv.txt
ifeq ($(TORCH),)
	@uv pip sync -q --require-hashes requirements.txt
else
# Those wheels have other hashes than PyPI's; the versions stay pinned.
	@uv pip install -q --no-verify-hashes --torch-backend $(TORCH) \
	  -r requirements.in -c requirements.txt
endif
	@rm -f .venv/ready*
	@touch $@
