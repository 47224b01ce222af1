# The front door. Everything runs in .venv, which the first command makes.
PYTHON ?= python3
BIN := .venv/bin
INSTALL := $(BIN)/python -m pip install --quiet --constraint constraints.txt --editable

.PHONY: demo test check docs bench gpu chaos newest oldest ranges constraints clean

demo: RUN := runs/demo-$(shell date +%Y%m%d-%H%M%S)
demo: .venv/installed
	HF_HUB_OFFLINE=1 $(BIN)/python main.py fit --config configs/demo.yaml --trainer.default_root_dir $(RUN)
	HF_HUB_OFFLINE=1 $(BIN)/python main.py recommend --model.pretrained $(RUN)/model --position "Registered nurse"
	HF_HUB_OFFLINE=1 $(BIN)/python main.py recommend --model.pretrained $(RUN)/model --skills "sql, python"

test: .venv/installed-dev
	HF_HUB_OFFLINE=1 $(BIN)/python -m pytest -n 2 --dist worksteal

check: .venv/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest tests/test_layering.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet

docs: .venv/installed-dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build

bench: .venv/installed-bench
	HF_HUB_OFFLINE=1 $(BIN)/python benchmarks/training.py --json runs/bench/training.json
	HF_HUB_OFFLINE=1 $(BIN)/python benchmarks/generation.py --json runs/bench/generation.json
	HF_HUB_OFFLINE=1 $(BIN)/python benchmarks/data.py --json runs/bench/data.json
	# One round: its ratios are of 8 and more.
	HF_HUB_OFFLINE=1 $(BIN)/python benchmarks/candidates.py --quick --json runs/bench/candidates.json

# Ten minutes, no network once it is installed. DEVICE=cpu QUICK=1 rehearses it.
DEVICE ?= cuda
gpu: .venv/installed-dev
	HF_HUB_OFFLINE=1 $(BIN)/python benchmarks/gpu.py --device $(DEVICE) $(if $(QUICK),--quick)

chaos: .venv/installed
	HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1 $(BIN)/python benchmarks/chaos.py --json runs/bench/chaos.json
	HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1 $(BIN)/python benchmarks/damage.py --json runs/bench/damage.json

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(INSTALL) .
	touch $@

.venv/installed-dev: .venv/installed
	$(INSTALL) '.[dev,docs,bench,sheets,lora,embeddings,app,pretrained,sweep,export]'
	touch $@

.venv/installed-bench: .venv/installed
	$(INSTALL) '.[bench]'
	touch $@

# The suite in a fresh environment: the newest libraries, the oldest that can be had, the tested ranges.
newest oldest ranges:
	$(PYTHON) -m venv --clear .venv-$@
	$(PYTHON) .ci/requirements.py $@ > .venv-$@/requirements.txt
	.venv-$@/bin/python -m pip install --quiet --requirement .venv-$@/requirements.txt
	.venv-$@/bin/python -m pip install --quiet --no-deps --editable .
	HF_HUB_OFFLINE=1 .venv-$@/bin/python -m pytest -n 2 --dist worksteal

# The exact versions with which the suite has just passed; a build of torch for one device is none.
constraints: ranges
	.venv-ranges/bin/python -m pip freeze --exclude-editable | sed 's/+cpu$$//' > constraints.txt

clean:
	rm -rf .venv .venv-* .cache runs .mypy_cache .ruff_cache .pytest_cache .hypothesis
