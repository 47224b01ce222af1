"""Runs a benchmark whose processes are forks of this one: so small a work would be all imports."""

import multiprocessing
import runpy
import sys
from pathlib import Path

forks = multiprocessing.get_context("fork")
multiprocessing.get_context = lambda _: forks  # type: ignore[assignment]
del sys.argv[0]
sys.path.insert(0, str(Path(sys.argv[0]).parent))
runpy.run_path(sys.argv[0], run_name="__main__")
