"""Parsers of a fit's configuration, whose classes are Lightning's and our data module."""

from __future__ import annotations

from argparse import SUPPRESS
from dataclasses import asdict
from typing import Any

from jsonargparse import set_parsing_settings
from lightning.pytorch.cli import LightningArgumentParser

from careergpt.cli.parsing import OneLineParser
from careergpt.data.datamodule import CareerDataModule
from careergpt.data.tasks import DEFAULT_TASKS

# Lightning lets them come from URLs: a configuration is code, and is read from files alone.
set_parsing_settings(config_read_mode_fsspec_enabled=False, config_read_mode_urls_enabled=False)

_NOT_OF_DATA = (
    "trainer", "model", "samples", "titles", "rankings", "checkpoints", "seed_everything",
    "ckpt_path",
)  # fmt: skip


class ConfigurationParser(OneLineParser, LightningArgumentParser):
    """The parser of the verbs that train or evaluate."""


def set_data_defaults(parser: OneLineParser) -> None:
    """Shows the default tasks in --help and config.yaml, and lets one of their parts be typed."""
    # Plain values: the parser cannot write dataclasses that lie in a default.
    parser.set_defaults({"data.tasks": {name: asdict(t) for name, t in DEFAULT_TASKS.items()}})


def data_parser(verb: str, skip: set[str]) -> OneLineParser:
    """A parser of --data, which takes a fit's configuration and passes its other parts over."""
    parser = OneLineParser(verb=verb)
    parser.add_argument("-c", "--config", action="config", help="A configuration of fit's.")
    for other in _NOT_OF_DATA:
        parser.add_argument(f"--{other}", type=Any, default=None, help=SUPPRESS)
    parser.add_class_arguments(CareerDataModule, "data", skip=skip)
    set_data_defaults(parser)
    return parser


def data_module(config: Any, typed: tuple[str, ...]) -> CareerDataModule:
    """The data module of a configuration's part, without what a model would give it.

    `typed` are the fields of which a column was typed.
    """
    parser = OneLineParser()
    parser.add_class_arguments(CareerDataModule, "data")
    plain = {name: value for name, value in config.as_dict().items() if name != "tokenizer"}
    made = parser.instantiate(parser.parse_object({"data": plain}))
    module: CareerDataModule = made.data
    module.typed_columns = typed
    return module
