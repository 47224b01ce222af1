# The front door. Everything runs in .venv, which the first command makes.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test check bench chaos clean

demo: RUN := runs/demo-$(shell date +%Y%m%d-%H%M%S)
demo: .venv/installed
	HF_HUB_OFFLINE=1 $(BIN)/python main.py fit --config configs/demo.yaml --trainer.default_root_dir $(RUN)
	HF_HUB_OFFLINE=1 $(BIN)/python main.py recommend --model.pretrained $(RUN)/model --position "Registered nurse"
	HF_HUB_OFFLINE=1 $(BIN)/python main.py recommend --model.pretrained $(RUN)/model --skills "sql, python"

test: .venv/installed-dev
	HF_HUB_OFFLINE=1 $(BIN)/python -m pytest -n 2

check: .venv/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest tests/test_layering.py

bench: .venv/installed-bench
	HF_HUB_OFFLINE=1 $(BIN)/python benchmarks/training.py --quick --json runs/bench/training.json
	HF_HUB_OFFLINE=1 $(BIN)/python benchmarks/generation.py --quick --json runs/bench/generation.json
	HF_HUB_OFFLINE=1 $(BIN)/python benchmarks/data.py --quick --json runs/bench/data.json
	HF_HUB_OFFLINE=1 $(BIN)/python benchmarks/candidates.py --quick --json runs/bench/candidates.json

chaos: .venv/installed
	HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1 $(BIN)/python benchmarks/chaos.py --json runs/bench/chaos.json

.venv/installed: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

.venv/installed-dev: .venv/installed
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@

.venv/installed-bench: .venv/installed
	$(BIN)/python -m pip install --quiet --editable '.[bench]'
	touch $@

clean:
	rm -rf .venv .cache runs .mypy_cache .ruff_cache .pytest_cache .hypothesis
