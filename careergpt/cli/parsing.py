"""Parsers whose errors are one line."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import Any, NoReturn

from jsonargparse import set_parsing_settings
from lightning.pytorch.cli import LightningArgumentParser

from careergpt.data.datamodule import DEFAULT_TASKS, CareerDataModule
from careergpt.errors import printable

# Lightning lets them come from URLs: a configuration is code, and is read from files alone.
set_parsing_settings(config_read_mode_fsspec_enabled=False, config_read_mode_urls_enabled=False)

_NOT_OF_DATA = (
    "trainer", "model", "samples", "titles", "rankings", "checkpoints", "seed_everything",
    "ckpt_path",
)  # fmt: skip


def set_data_defaults(parser: LightningArgumentParser) -> None:
    """Shows the default tasks in --help and config.yaml, and lets one of their parts be typed."""
    # Plain values: the parser cannot write dataclasses that lie in a default.
    parser.set_defaults({"data.tasks": {name: asdict(t) for name, t in DEFAULT_TASKS.items()}})


class OneLineParser(LightningArgumentParser):
    """A parser that takes no abbreviations and reports a mistake in one line, with exit code 2."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        # `max_epoch` for `max_epochs` would be taken as meant, and a typo go unseen.
        super().__init__(*args, **{"allow_abbrev": False, **kwargs})

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Prints the message without the usage that argparse would add."""
        line = printable(" ".join(message.split()))
        print(f"error: {line[:500]}", file=sys.stderr)
        sys.exit(2)


def data_parser(verb: str, description: str, skip: set[str]) -> OneLineParser:
    """A parser of --data, which takes a fit's configuration and passes its other parts over."""
    parser = OneLineParser(prog=f"main.py {verb}", description=description)
    parser.add_argument("-c", "--config", action="config", help="A configuration of fit's.")
    for other in _NOT_OF_DATA:
        parser.add_argument(f"--{other}", type=Any, default=None, help="Fit's; not used.")
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
