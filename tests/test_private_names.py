"""Every private name of a library that we rely on: listed, tried, and still there.

A private name may go without a word in any release. Here each stands with who needs it, so that the
release that drops it fails one test with a sentence, and `make newest` says so before a user does.
"""

import ast
import inspect
import re
from collections.abc import Iterator
from functools import reduce
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import TypeGuard

import pytest

ROOT = Path(__file__).parents[1]

TRIED = {
    "lightning": "2.6.6",
    "transformers": "5.17.0, 5.23.0 and 5.24.0",
    "datasets": "5.0.0 and 5.2.0",
    "wandb": "0.31.0",
    "jsonargparse": "4.53.0",
    "torch": "2.13.0",
    "optuna": "5.0.0",
}

CONNECTOR = "lightning.pytorch.trainer.connectors.signal_connector"
LAUNCHER = "lightning.fabric.strategies.launchers.subprocess_script"

# Module, name in it; the last part may be set by an instance alone. Then who of ours needs it.
PRIVATE = [
    (CONNECTOR, "_SignalConnector.register_signal_handlers", "training/stops.py"),
    (CONNECTOR, "_SignalConnector._register_signal", "training/stops.py"),
    ("lightning.pytorch", "Trainer._accelerator_connector", "training/launch.py"),
    (CONNECTOR, "_SignalConnector._original_handlers", "training/stops.py"),
    ("lightning.pytorch", "Trainer._signal_connector", "training/trainer.py, training/stops.py"),
    (LAUNCHER, "_ChildProcessObserver._child_processes", "training/stops.py"),
    (
        "lightning.pytorch.loops.training_epoch_loop",
        "_TrainingEpochLoop._batches_that_stepped",
        "training/resume.py, training/callbacks.py",
    ),
    ("lightning.pytorch.cli", "LightningCLI._get", "cli/trainer.py"),
    ("lightning.pytorch.cli", "LightningCLI._parse_ckpt_path", "cli/trainer.py"),
    ("lightning.pytorch.cli", "LightningCLI._set_seed", "cli/trainer.py"),
    ("lightning.pytorch.loggers", "WandbLogger._experiment", "training/logs.py"),
    ("lightning.pytorch.loggers", "WandbLogger._wandb_init", "training/logs.py"),
    ("lightning.pytorch.loggers", "WandbLogger._id", "training/logs.py"),
    ("lightning.pytorch.loggers", "WandbLogger._save_dir", "training/logs.py"),
    ("lightning.pytorch.strategies", "DDPStrategy._start_method", "training/launch.py"),
    ("lightning.pytorch", "Trainer._run_stage", "cli/faults.py"),
    ("jsonargparse", "ArgumentParser._actions", "cli/parsing.py"),
    ("jsonargparse", "ArgumentParser._action_groups", "cli/parsing.py"),
    ("jsonargparse", "ArgumentParser._subcommands_action", "cli/parsing.py"),
    ("jsonargparse._subcommands", "ActionSubCommands._name_parser_map", "cli/parsing.py"),
    ("jsonargparse._core", "ArgumentGroup._group_actions", "cli/parsing.py"),
    ("jsonargparse._actions", "_HelpAction", "cli/parsing.py"),
    ("optuna.trial", "FrozenTrial._trial_id", "training/sweeps.py"),
    ("transformers", "PretrainedConfig._attn_implementation", "modeling/attention.py"),
    (
        "transformers.models.auto.modeling_auto",
        "MODEL_FOR_CAUSAL_LM_MAPPING_NAMES",
        "modeling/folder.py",
    ),
    ("datasets", "Dataset._fingerprint", "data/objects.py"),
    ("wandb", "Settings._offline", "training/logs.py"),
    ("torch", "_foreach_mul_", "training/module.py"),
    ("torch.optim.adamw", "AdamW.found_inf", "training/module.py"),
]


def has(owner: object, name: str) -> bool:
    """Whether a class or module has the name, be it only set on the class's instances."""
    if hasattr(owner, name):
        return True
    return isinstance(owner, type) and any(
        re.search(rf"\b{name}\b", inspect.getsource(each))
        for each in owner.__mro__
        if each.__module__ != "builtins"
    )


@pytest.mark.parametrize(("module", "name", "user"), PRIVATE, ids=lambda part: str(part))
def test_a_private_name_that_we_rely_on_is_there(module: str, name: str, user: str) -> None:
    library = module.partition(".")[0]
    *owners, last = name.split(".")
    try:
        owner = reduce(getattr, owners, import_module(module))
        found = has(owner, last)
    except (ImportError, AttributeError):
        found = False
    assert found, (
        f"{library} {version(library)} has no {module}.{name}, which careergpt/{user} relies on; "
        f"tried with {TRIED[library]}: find what took its place, or lower the ceiling in "
        "pyproject.toml"
    )


def private_names(tree: ast.AST) -> Iterator[str]:
    """Private names that a module takes from elsewhere.

    Those that it imports, and those that it asks of an object: of itself too, where no class of
    the module defines them.
    """
    own = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            own.add(node.name)
        elif isinstance(node, ast.AnnAssign | ast.Assign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            flat = [leaf for target in targets for leaf in ast.walk(target)]
            own |= {leaf.attr for leaf in flat if of_self(leaf)}
            own |= {leaf.id for leaf in flat if isinstance(leaf, ast.Name)}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and not str(node.module).startswith("careergpt"):
            yield from (alias.name for alias in node.names if is_private(alias.name))
        elif isinstance(node, ast.Attribute) and is_private(node.attr) and node.attr not in own:
            yield node.attr


def of_self(node: ast.AST) -> TypeGuard[ast.Attribute]:
    return isinstance(node, ast.Attribute) and getattr(node.value, "id", "") in ("self", "cls")


def is_private(name: str) -> bool:
    # A named tuple's own methods are public: the mark keeps them from clashing with fields.
    named_tuple = ("_asdict", "_fields", "_make", "_replace")
    return name.startswith("_") and not name.startswith("__") and name not in named_tuple


OWN_ELSEWHERE = {"_exit"}  # os._exit is documented.


@pytest.mark.parametrize("path", sorted((ROOT / "careergpt").rglob("*.py")), ids=lambda p: p.stem)
def test_a_private_name_is_on_the_list(path: Path) -> None:
    listed = {part for _, name, _ in PRIVATE for part in name.split(".")} | OWN_ELSEWHERE
    assert set(private_names(ast.parse(path.read_text(encoding="utf-8")))) <= listed


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("from lib import _hidden", ["_hidden"]),
        ("import lib\nlib.thing._hidden = 1", ["_hidden"]),
        ("class A(lib.B):\n    def f(self):\n        return self._hidden", ["_hidden"]),
        ("class A:\n    def f(self):\n        self._own = 1\n        return self._own", []),
    ],
)
def test_a_private_name_would_be_seen(source: str, names: list[str]) -> None:
    assert list(private_names(ast.parse(source))) == names


@pytest.mark.parametrize("library", ["lightning", "transformers"])
def test_what_is_used_privately_has_a_ceiling(library: str) -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert re.search(rf'"{library}>=[\d.]+,<[\d.]+"', text)


def foreign_keywords(tree: ast.AST) -> list[str]:
    """Keywords sent through a library's model that are neither the library's own nor named ours."""
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    through = [call for call in calls if getattr(call.func, "attr", "") == "base_model"]
    sent = [str(keyword.arg) for call in through for keyword in call.keywords]
    return [name for name in sent if name not in OF_MODELS and not name.startswith("careergpt_")]


OF_MODELS = {"input_ids", "position_ids", "use_cache"}


@pytest.mark.parametrize("path", sorted((ROOT / "careergpt").rglob("*.py")), ids=lambda p: p.stem)
def test_what_travels_through_a_library_s_model_has_a_name_of_our_own(path: Path) -> None:
    assert foreign_keywords(ast.parse(path.read_text(encoding="utf-8"))) == []


def test_a_foreign_keyword_would_be_seen() -> None:
    assert foreign_keywords(ast.parse("model.base_model(input_ids=a, cache=b)")) == ["cache"]
