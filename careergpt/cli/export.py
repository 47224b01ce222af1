"""The verb export: a model folder in, the same model for another runtime out, and tried."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Literal

import torch

from careergpt.cli.parsing import OneLineParser
from careergpt.data.whole_files import check_new_folder, whole_files
from careergpt.errors import InputError, extra, system_fault
from careergpt.modeling.export import FORMATS
from careergpt.modeling.folder import read_settings
from careergpt.modeling.loaded import find_model
from careergpt.recommend.agreement import TOLERANCE, Agreement, agreement, questions


def run(args: Sequence[str]) -> Agreement:
    """Parses and runs `export`: a new folder, or nothing."""
    parser = OneLineParser(verb="export")
    parser.add_argument("--model.pretrained", type=str, required=True, help="A model's folder.")
    kinds = Literal[tuple(FORMATS)]  # type: ignore[valid-type]
    parser.add_argument("--format", type=kinds, required=True, help="Of what is written.")
    parser.add_argument("--out", type=str, required=True, help="The folder to make.")
    parser.add_options({"limit": (3, "Titles that are asked about, by each task, in both.")})
    config = parser.parse_args(list(args))
    name, out, form = config.model.pretrained, Path(config.out), FORMATS[config.format]
    if config.limit < 1:
        raise InputError(f"--limit must be 1 or more, found {config.limit}")
    check_new_folder(out, "--out")
    with extra("export", f"--format {config.format}"):
        for package in form.packages:
            import_module(package)
    model = find_model(name).load(torch.device("cpu"))
    pairs = list(questions(model, read_settings(name), config.limit))
    with whole_files(out) as partial:
        try:
            form.write(model, partial)
            found = agreement(model, form.load(model, partial), pairs)
        except Exception as error:  # Whatever a converter raises of what it does not know.
            if isinstance(error, InputError) or system_fault(error, out):
                raise
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            raise InputError(
                f"{name} cannot be exported as {config.format} ({reason}): give another --format"
            ) from None
    alike = found.answers - found.equal
    print(
        f"{out}: asked the model's questions ({found.answers}), it answers greedily as the model "
        + (f"does ({alike} times by tokens as likely)" if alike else "does")
        + f"; nats of these answers and of candidates differ by {found.nats:.1g} at most, any "
        f"log-probability by {found.gap:.1g} ({TOLERANCE:g} is allowed)."
    )
    return found
