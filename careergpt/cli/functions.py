"""Verbs that need no Trainer: plain typed functions that jsonargparse turns into commands."""

from __future__ import annotations

from collections.abc import Sequence

from careergpt.cli.parsing import data_parser
from careergpt.data.datamodule import audit


def run_audit(args: Sequence[str]) -> None:
    """Parses and runs `audit`; a fit's configuration serves, its other parts are passed over."""
    parser = data_parser("audit", str(audit.__doc__), skip={"context", "models"})
    parser.add_argument("--out", type=str | None, help="Also write data_report.json there.")
    config = parser.parse_args(list(args))
    audit(parser.instantiate(config).data, config.out)
