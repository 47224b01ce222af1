"""Verbs that need no Trainer: plain typed functions that jsonargparse turns into commands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from careergpt.cli.parsing import OneLineParser, set_data_defaults
from careergpt.data.audit import audit
from careergpt.data.datamodule import CareerDataModule


def run_audit(args: Sequence[str]) -> None:
    """Parses and runs `audit`; a fit's configuration serves, its other parts are passed over."""
    parser = OneLineParser(prog="main.py audit", description=audit.__doc__)
    parser.add_argument("-c", "--config", action="config", help="A configuration of fit's.")
    for other in ("trainer", "model", "samples", "titles", "seed_everything", "ckpt_path"):
        parser.add_argument(f"--{other}", type=Any, default=None, help="Fit's; not used.")
    parser.add_class_arguments(CareerDataModule, "data", skip={"context"})
    set_data_defaults(parser)
    parser.add_argument("--out", type=str | None, help="Also write data_report.json there.")
    config = parser.parse_args(list(args))
    audit(parser.instantiate_classes(config).data, config.out)
