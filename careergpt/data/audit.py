"""The verb audit: the report on the data, without training."""

from __future__ import annotations

from pathlib import Path

from careergpt.data.datamodule import CareerDataModule
from careergpt.errors import InputError


def audit(data: CareerDataModule, out: str | None = None) -> None:
    """Print what a fit would train on: rows read, kept, dropped, cut; splits, tokens, leaks.

    Args:
        data: The data, as a fit would take it.
        out: Also write data_report.json into this folder.
    """
    if out is not None and Path(out).exists() and not Path(out).is_dir():
        raise InputError(f"--out {out} is a file: name a folder")
    report = data.report()
    print(report)
    if out is not None:
        report.write(Path(out) / "data_report.json")
        print(f"written to {Path(out) / 'data_report.json'}")
