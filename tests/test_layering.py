"""Imports go down only, the package is light, and nothing names a place outside the project."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "careergpt"
ROOMS = ["data", "modeling", "generation", "recommend", "compare", "training", "cli"]
MODULES = sorted(PACKAGE.rglob("*.py"))
# Spelled in two parts, so that this file does not name it either.
OUTSIDE = ["../" + "shared", "/work/" + "shared"]
TEXTS = {".py", ".yaml", ".yml", ".json", ".jsonl", ".csv", ".txt", ".md", ".toml", ""}


OUTSIDE_ROOMS = {"errors": -1, "api": len(ROOMS), "serve": len(ROOMS) + 2}


def height(name: str) -> int:
    """How high a module of ours lies: `errors` is below all rooms, the public API above them."""
    parts = name.split(".")
    if len(parts) == 1:
        return len(ROOMS) + 1  # Nothing may import the package itself but what lies outside it.
    return OUTSIDE_ROOMS[parts[1]] if parts[1] in OUTSIDE_ROOMS else ROOMS.index(parts[1])


def imported(tree: ast.AST) -> Iterator[str]:
    """Every name that an import statement names, wherever it stands."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide the room that they reach"
            # `from careergpt import data` names a room too.
            whole = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from whole if node.module == "careergpt" else [str(node.module)]


def upward(name: str, source: str) -> list[str]:
    """Imports of a module that reach a room above its own."""
    names = [n for n in imported(ast.parse(source)) if n.split(".")[0] == "careergpt"]
    return [other for other in names if height(other) > height(name)]


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_no_import_runs_upward(path: Path) -> None:
    assert upward(module_name(path), path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "line",
    [
        "from careergpt.cli import main",
        "import careergpt.training.module",
        "from careergpt import compare",
        "def f():\n    from careergpt.generation.decoding import generate",
        "from careergpt import api",
        "import careergpt",
    ],
)
def test_an_upward_import_would_be_seen(line: str) -> None:
    assert upward("careergpt.modeling.loss", line)
    assert upward("careergpt.errors", line)


def test_every_room_is_ranked() -> None:
    folders = {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").exists()}
    assert folders <= {*ROOMS, *OUTSIDE_ROOMS}


def test_importing_the_package_imports_nothing_heavy() -> None:
    program = "import sys, careergpt; careergpt.__version__; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    loaded = done.stdout.split()
    # Of the room that bears a public function's name, which holds nothing itself, the name.
    assert [name for name in loaded if name.startswith("careergpt.")] == ["careergpt.compare"]
    assert {"torch", "numpy", "transformers", "lightning"}.isdisjoint(loaded)


def test_main_calls_the_cli_and_nothing_else() -> None:
    tree = ast.parse((ROOT / "main.py").read_text(encoding="utf-8"))
    docstring, imports, guard = tree.body
    assert isinstance(docstring, ast.Expr)
    assert ast.unparse(imports) == "from careergpt.cli import main"
    assert ast.unparse(guard) == "if __name__ == '__main__':\n    main()"


@pytest.mark.parametrize("folder", ["careergpt", "configs", "tests", "benchmarks", "data"])
def test_no_file_names_a_place_outside_the_project(folder: str) -> None:
    files = [p for p in (ROOT / folder).rglob("*") if p.is_file() and p.suffix in TEXTS]
    naming = [p for p in files for name in OUTSIDE if name in p.read_text("utf-8", "replace")]
    assert naming == []
