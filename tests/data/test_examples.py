"""Every example in a docstring of the data room holds."""

import ast
import inspect
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

import careergpt.data as room

MODULES = sorted(path.stem for path in Path(str(room.__file__)).parent.glob("[a-z]*.py"))
EXAMPLE = re.compile(r"^ *Example:\n((?: +.*\n?)+)", re.MULTILINE)


def examples(module: ModuleType) -> Iterator[str]:
    """Comparisons under "Example:" in the docstrings of a module's own functions."""
    for _, function in inspect.getmembers(module, inspect.isfunction):
        if function.__module__ == module.__name__:
            for block in EXAMPLE.findall(inspect.getdoc(function) or ""):
                yield from (line.strip() for line in block.splitlines() if "==" in line)


@pytest.mark.parametrize("name", MODULES)
def test_every_example_in_a_docstring_holds(name: str) -> None:
    module = import_module(f"careergpt.data.{name}")
    for example in examples(module):
        assert isinstance(ast.parse(example, mode="eval").body, ast.Compare)
        assert eval(example, vars(module)), example


def test_examples_would_be_seen() -> None:
    found = [text for name in MODULES for text in examples(import_module(f"careergpt.data.{name}"))]
    assert len(found) > 4
