"""Parsers of options and configurations, whose mistakes are one line; and what was typed."""

from __future__ import annotations

from argparse import SUPPRESS, HelpFormatter, _HelpAction
from collections import Counter
from collections.abc import Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import Any, NoReturn

import yaml
from jsonargparse import ArgumentParser, get_loader, set_loader

from careergpt.cli import VERBS
from careergpt.cli.help import COMMON, OF_LIGHTNING, ending, meant
from careergpt.errors import InputError, printable

_read_yaml = get_loader("yaml")
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def _without_doubles(text: str) -> Any:
    """What the YAML or JSON says; of a key that stands twice, one value would be lost in silence.

    Raises:
        MarkedYAMLError: A mapping has a key twice.
    """
    nodes, walked = [yaml.compose(text, _LOADER)], set()
    while nodes:
        node = nodes.pop()
        if id(node) in walked or not isinstance(node, yaml.CollectionNode):
            continue
        walked.add(id(node))  # An alias may lead back.
        if isinstance(node, yaml.SequenceNode):
            nodes += node.value
            continue
        nodes += [value for _, value in node.value]
        keys = Counter(str(key.value) for key, _ in node.value)
        if doubles := [key for key, times in keys.items() if times > 1]:
            problem = f"the key {doubles[0]!r} stands twice in one mapping"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)
    return _read_yaml(text)


set_loader("yaml", _without_doubles, exceptions=(yaml.YAMLError,))

# Lightning has members of an enumeration where the type is text: config.yaml holds their value.
yaml.SafeDumper.add_multi_representer(Enum, lambda dumper, one: dumper.represent_data(one.value))


class _Help(_HelpAction):
    """`--help`: the common options; `--help all`; `--help WORD`: those named so."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.nargs, self.metavar = "?", "WORD"

    def __call__(self, parser: Any, namespace: Any, word: Any, option_string: Any = None) -> None:
        """Prints what was asked for, and ends the program."""
        common = COMMON.get(parser.verb)
        for action in parser._actions:
            action.help = OF_LIGHTNING.get(action.dest, action.help)
            if word is None:
                shown = common is None or action is self or action.dest in common
            else:
                shown = word == "all" or word in action.dest
            if not shown:
                action.help = SUPPRESS
        super().__call__(parser, namespace, word, option_string)


class OneLineParser(ArgumentParser):
    """A parser that takes no abbreviations and reports a mistake in one line, with exit code 2."""

    def __init__(self, *args: Any, verb: str = "", **kwargs: Any) -> None:
        # `max_epoch` for `max_epochs` would be taken as meant, and a typo go unseen.
        ours = {"allow_abbrev": False, "add_help": False, "usage": f"main.py {verb} [options]"}
        told = {"prog": f"main.py {verb}", "description": VERBS[verb]} if verb else {}
        super().__init__(*args, **{**ours, **kwargs, **told})
        self.verb = verb
        self.add_argument("-h", "--help", action=_Help, help="Show this, and end.")

    def add_options(self, options: Mapping[str, tuple[Any, str]]) -> None:
        """Options by name: the default, of whose type they are (null: text), and what they do."""
        for name, (default, purpose) in options.items():
            # As `str | None` it would be read as YAML, in which "#python" is nothing.
            kind = str if default is None else type(default)
            self.add_argument(f"--{name}", type=kind, default=default, help=purpose)

    def format_help(self, formatter: HelpFormatter | None = None) -> str:
        """The options by group, the Trainer's many last, and examples."""
        self._action_groups = sorted(
            self._action_groups,
            key=lambda group: any(a.dest.startswith("trainer.") for a in group._group_actions),
        )
        return super().format_help(formatter) + ending(self.verb)

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Raises InputError with the message, without argparse's usage, and with what was meant."""
        line = printable(" ".join(message.split()))[:500]
        raise InputError(line + meant(message, self._known())) from None

    def _known(self) -> dict[str, str]:
        """What each option is for, those of its verbs included."""
        verbs = self._subcommands_action
        parsers = [self, *(verbs._name_parser_map.values() if verbs else ())]
        actions = (action for parser in parsers for action in parser._actions)
        return {a.dest: str(a.help) for a in actions if a.option_strings and a.help != SUPPRESS}


def typed_options(words: Sequence[str]) -> dict[str, Any]:
    """The typed options as nested names: `--model.lr 1` as {"model": {"lr": …}}.

    Only the names matter. A group's own value, `--model '{"lr": 1}'` or a file that holds it, names
    what it holds; any other mapping was typed as a whole.
    """
    typed: dict[str, Any] = {}
    for place, word in enumerate(words):
        if not word.startswith("--"):
            continue
        name, given, value = word[2:].partition("=")
        following = words[place + 1] if place + 1 < len(words) else ""
        value = value if given else following
        *groups, last = name.split(".")
        inside = typed
        for group in groups:
            inside = inside.setdefault(group, {})
            if not isinstance(inside, dict):
                break
        else:
            # A group's mapping names its options; an option's own is its whole value.
            named = value if groups else _named_in(value)
            before = inside.get(last)
            if isinstance(before, dict) and isinstance(named, dict):
                named = {**before, **named}
            inside[last] = named
    return typed


def typed_columns(words: Sequence[str]) -> tuple[str, ...]:
    """The fields of which a column was typed, for the tables of this command."""
    typed = typed_options(words).get("data", {})
    columns = typed.get("columns", {}) if isinstance(typed, dict) else {}
    named = _named_in(columns) if isinstance(columns, str) else columns
    return tuple(named) if isinstance(named, dict) else ()


def unless_typed(told: Any, configured: Any, typed: Any) -> Any:
    """What a folder tells, part by part, but for the parts that were typed: those are configured.

    Args:
        told: What the folder says.
        configured: What the command line and its files came to.
        typed: The part of `typed_options` for this; an empty mapping where nothing was typed.
    """
    if not isinstance(typed, dict):
        return configured
    if not (isinstance(told, dict) and isinstance(configured, dict)):
        return told  # A task of the folder's own, say, which no configuration names.
    return {
        name: unless_typed(told[name], configured.get(name), typed.get(name, {}))
        if name in told
        else configured[name]
        for name in {**told, **typed}
    }


def _named_in(value: str) -> Any:
    try:
        held = yaml.safe_load(value)
        if isinstance(held, str) and Path(held).is_file():
            held = yaml.safe_load(Path(held).read_text(encoding="utf-8"))
    except (yaml.YAMLError, OSError, UnicodeError):
        return value
    return dict.fromkeys(held, "") if isinstance(held, dict) else value
