"""Parsers whose errors are one line, and whose help begins with what most need."""

from __future__ import annotations

import sys
from argparse import SUPPRESS, HelpFormatter, _HelpAction
from collections import Counter
from dataclasses import asdict
from enum import Enum
from typing import Any, NoReturn

import yaml
from jsonargparse import get_loader, set_loader, set_parsing_settings
from lightning.pytorch.cli import LightningArgumentParser

from careergpt.cli.help import COMMON, OF_LIGHTNING, ending, meant
from careergpt.data.datamodule import DEFAULT_TASKS, CareerDataModule
from careergpt.errors import printable

# Lightning lets them come from URLs: a configuration is code, and is read from files alone.
set_parsing_settings(config_read_mode_fsspec_enabled=False, config_read_mode_urls_enabled=False)

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

_NOT_OF_DATA = (
    "trainer", "model", "samples", "titles", "rankings", "checkpoints", "seed_everything",
    "ckpt_path",
)  # fmt: skip


def set_data_defaults(parser: LightningArgumentParser) -> None:
    """Shows the default tasks in --help and config.yaml, and lets one of their parts be typed."""
    # Plain values: the parser cannot write dataclasses that lie in a default.
    parser.set_defaults({"data.tasks": {name: asdict(t) for name, t in DEFAULT_TASKS.items()}})


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


class OneLineParser(LightningArgumentParser):
    """A parser that takes no abbreviations and reports a mistake in one line, with exit code 2."""

    def __init__(self, *args: Any, verb: str = "", **kwargs: Any) -> None:
        # `max_epoch` for `max_epochs` would be taken as meant, and a typo go unseen.
        ours = {"allow_abbrev": False, "add_help": False, "usage": f"main.py {verb} [options]"}
        super().__init__(*args, **{**ours, **kwargs})
        self.verb = verb
        self.add_argument("-h", "--help", action=_Help, help="Show this, and end.")

    def format_help(self, formatter: HelpFormatter | None = None) -> str:
        """The options by group, the Trainer's many last, and examples."""
        self._action_groups = sorted(
            self._action_groups,
            key=lambda group: any(a.dest.startswith("trainer.") for a in group._group_actions),
        )
        return super().format_help(formatter) + ending(self.verb)

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Prints the message without the usage that argparse would add, and what was meant."""
        line = printable(" ".join(message.split()))[:500] + meant(message, self._known())
        print(f"error: {line}", file=sys.stderr)
        sys.exit(2)

    def _known(self) -> dict[str, str]:
        """What each option is for, those of its verbs included."""
        verbs = self._subcommands_action
        parsers = [self, *(verbs._name_parser_map.values() if verbs else ())]
        actions = (action for parser in parsers for action in parser._actions)
        return {a.dest: str(a.help) for a in actions if a.option_strings and a.help != SUPPRESS}


def data_parser(verb: str, description: str, skip: set[str]) -> OneLineParser:
    """A parser of --data, which takes a fit's configuration and passes its other parts over."""
    parser = OneLineParser(verb=verb, prog=f"main.py {verb}", description=description)
    parser.add_argument("-c", "--config", action="config", help="A configuration of fit's.")
    for other in _NOT_OF_DATA:
        parser.add_argument(f"--{other}", type=Any, default=None, help=SUPPRESS)
    parser.add_class_arguments(CareerDataModule, "data", skip=skip)
    set_data_defaults(parser)
    return parser


def data_module(config: Any) -> CareerDataModule:
    """The data module of a configuration's part, without what a model would give it."""
    parser = OneLineParser()
    parser.add_class_arguments(CareerDataModule, "data")
    plain = {name: value for name, value in config.as_dict().items() if name != "tokenizer"}
    made = parser.instantiate(parser.parse_object({"data": plain}))
    module: CareerDataModule = made.data
    return module
