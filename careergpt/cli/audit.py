"""The verb audit: the report on the data, without training."""

from __future__ import annotations

from collections.abc import Sequence

from careergpt.cli.configuration import data_parser
from careergpt.cli.parsing import typed_columns
from careergpt.data.datamodule import audit
from careergpt.data.report import DataReport


def run(options: Sequence[str]) -> DataReport:
    """Prints the report; a fit's configuration serves, its other parts are passed over."""
    parser = data_parser("audit", skip={"context", "models"})
    parser.add_options({"out": (None, "Also write data_report.json there.")})
    config = parser.parse_args(list(options))
    data = parser.instantiate(config).data
    data.typed_columns = typed_columns(options)
    return audit(data, config.out)
