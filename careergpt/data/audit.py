"""The verb audit: the report on the data, without training."""

from __future__ import annotations

from pathlib import Path

from careergpt.data.datamodule import CareerDataModule
from careergpt.data.settings import writable


def audit(data: CareerDataModule, out: str | None = None) -> None:
    """Print what a fit would train on: rows read, kept, dropped, cut; splits, tokens, leaks.

    Args:
        data: The data, as a fit would take it.
        out: Also write data_report.json into this folder.
    """
    if out is not None:
        writable(Path(out), "--out")
    report = data.report()
    print(report)
    if out is not None:
        report.write(Path(out) / "data_report.json")
        print(f"written to {Path(out) / 'data_report.json'}")
