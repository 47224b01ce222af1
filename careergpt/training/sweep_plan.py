"""A W&B sweep's file: the command, the metric, and what its options are drawn from."""

from __future__ import annotations

import itertools
import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from careergpt.data.foreign_files import reading
from careergpt.errors import InputError

METHODS = ("random", "grid", "bayes")


@dataclass(frozen=True)
class Plan:
    """What a W&B sweep's file says.

    Attributes:
        command: The words of a trial; `${args}` stands for its options.
        metric: What is judged, a name of metrics.jsonl.
        goal: minimize or maximize.
        method: random, grid or bayes.
        space: Name of an option -> what it is drawn from; fixed ones have one choice.
        least: Validations before a trial may be pruned; None: none is.
        eta: Of how many trials hyperband keeps one.
    """

    command: tuple[str, ...]
    metric: str
    goal: Literal["minimize", "maximize"]
    method: str
    space: Mapping[str, BaseDistribution]
    least: int | None = None
    eta: int = 3

    def grid(self) -> list[dict[str, Any]]:
        """All combinations of the choices."""
        choices = [getattr(one, "choices", ()) for one in self.space.values()]
        return [dict(zip(self.space, some, strict=True)) for some in itertools.product(*choices)]

    def corners(self) -> Iterator[dict[str, Any]]:
        """Draws that together hold the extremes of each parameter, and all of its choices."""
        ends = {name: _extremes(one) for name, one in self.space.items()}
        for turn in range(max(map(len, ends.values()))):
            yield {name: some[turn % len(some)] for name, some in ends.items()}

    def words(self, values: Mapping[str, Any]) -> list[str]:
        """The command of these values."""
        given = [f"--{name}={value}" for name, value in values.items()]
        macros = {"${env}": [], "${interpreter}": [sys.executable], "${args}": given}
        return [part for word in self.command for part in macros.get(word, [word])]


def read_plan(path: str) -> Plan:
    """The sweep that a file describes, in W&B's format.

    Raises:
        InputError: It is no such file, or asks for what is not done here.
    """
    try:
        with reading(path):
            said = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is no YAML: {str(error)[:200]}") from None
    kinds = {"parameters": dict, "metric": dict, "early_terminate": dict, "command": list}
    parameters, metric, early, command = (_part(path, said, *one) for one in kinds.items())
    method, goal = said.get("method"), metric.get("goal", "minimize")
    if method not in METHODS or goal not in ("minimize", "maximize"):
        raise InputError(
            f"{path}: method is {method!r} and metric.goal {goal!r}: give random, grid or bayes, "
            "and minimize or maximize"
        )
    if not metric.get("name") or "${args}" not in command:
        raise InputError(f"{path}: name the metric (metric.name), and a command with ${{args}}")
    if early and early.get("type") != "hyperband":
        raise InputError(f"{path}: early_terminate.type is {early.get('type')!r}: give hyperband")
    space = {name: _drawn_from(path, name, one) for name, one in _flat(parameters)}
    if method == "grid" and (open_ := [n for n, d in space.items() if not hasattr(d, "choices")]):
        raise InputError(f"{path}: a grid needs `values`, which {open_[0]} lacks")
    least, eta = (early.get(name, default) for name, default in (("min_iter", 1), ("eta", 3)))
    if not (isinstance(least, int) and least > 0 and isinstance(eta, int) and eta > 1):
        raise InputError(f"{path}: early_terminate: give min_iter from 1 and eta from 2 on")
    words = tuple(map(str, command))
    return Plan(words, metric["name"], goal, method, space, least if early else None, eta)


def _part(path: str, said: Any, name: str, kind: type) -> Any:
    """A part of the file; empty where it is missing."""
    found = said.get(name) if isinstance(said, dict) else None
    if found is None:
        found = kind()
    if not isinstance(found, kind) or (name == "parameters" and not found):
        named = "a list" if kind is list else "a mapping"
        raise InputError(f"{path}: a sweep has `{name}`, {named}: see configs/sweep.yaml")
    return found


def _extremes(one: Any) -> Sequence[Any]:
    return one.choices if isinstance(one, CategoricalDistribution) else (one.low, one.high)


def _flat(parameters: Mapping[str, Any], group: str = "") -> Iterator[tuple[str, Any]]:
    for name, one in parameters.items():
        if isinstance(one, dict) and isinstance(one.get("parameters"), dict):
            yield from _flat(one["parameters"], f"{group}{name}.")
        else:
            yield f"{group}{name}", one


def _is_nested(value: Any) -> bool:
    return isinstance(value, list | dict)


def _drawn_from(path: str, name: str, said: Any) -> BaseDistribution:
    """One parameter of W&B's as Optuna knows it."""
    said = said if isinstance(said, dict) else {"value": said}
    if "value" in said or "values" in said:
        choices = said.get("values", [said.get("value")])
        if not isinstance(choices, list) or not choices or any(map(_is_nested, choices)):
            raise InputError(f"{path}: {name}: values is {choices!r}: give a list of plain values")
        return CategoricalDistribution(choices)
    low, high = said.get("min"), said.get("max")
    if not all(isinstance(end, int | float) for end in (low, high)) or not low <= high:
        raise InputError(f"{path}: {name}: give value, values, or min and max")
    whole = isinstance(low, int) and isinstance(high, int)
    named = said.get("distribution", "int_uniform" if whole else "uniform")
    made: dict[str, Callable[[], BaseDistribution]] = {
        "uniform": lambda: FloatDistribution(low, high),
        "int_uniform": lambda: IntDistribution(low, high),
        "q_uniform": lambda: FloatDistribution(low, high, step=said.get("q", 1)),
        "log_uniform_values": lambda: FloatDistribution(low, high, log=True),
        "log_uniform": lambda: FloatDistribution(math.exp(low), math.exp(high), log=True),
    }
    if named not in made:
        raise InputError(f"{path}: {name}: distribution {named!r}: give {', '.join(made)}")
    try:
        return made[named]()
    except (ValueError, OverflowError) as error:
        raise InputError(f"{path}: {name}: {error}") from None
