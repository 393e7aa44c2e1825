# Each target sets up all that it needs, on a machine that has only Python and make.
# Another Python:  make test PYTHON=python3.12

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
PACKAGES := cryo_pick detector refiner metrics configs

.DEFAULT_GOAL := help
.PHONY: help demo test format wheel audit fuzz bad-input

help: ## print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(READY) ## train, predict and score on a simulated project, into demo/
	$(BIN)/cryo-pick demo demo

test: $(READY) ## every check and every test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist loadfile --max-worker-restart=0

format: $(READY) ## put the code into the house style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

wheel: $(READY) ## build dist/*.whl
	$(BIN)/python -m build --wheel --no-isolation

audit: $(READY) ## look for known holes in the packages (needs the network) and for risky code
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[audit]'
	$(BIN)/bandit -q -c pyproject.toml -r cryo_pick detector refiner metrics configs
	$(BIN)/pip-audit --strict --skip-editable --progress-spinner off -r constraints.txt --no-deps --disable-pip

SECONDS := 60
fuzz: $(READY) ## feed every parser odd bytes, SECONDS=60 each
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[fuzz]'
	$(BIN)/python -m tests.fuzz.fuzz --seconds $(SECONDS)

bad-input: $(READY) ## write docs/bad-input.md from its tests
	$(BIN)/python -m tests.bad_input.table

$(READY): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --no-compile -c constraints.txt -e '.[test,openvino,view,docs,onnx,cluster]'
	-$(BIN)/python -m compileall -q -j 0 .venv $(PACKAGES) > /dev/null  # or each start compiles torch for 2 s
	touch $@
