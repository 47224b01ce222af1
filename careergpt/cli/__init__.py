"""The command line: verbs, the values that must agree, exit codes."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence
from difflib import get_close_matches

from careergpt.cli.output import check_output, mend_output
from careergpt.data.processes import leave_when_stopped
from careergpt.errors import InputError, RunEndedError, printable, system_fault

VERBS = {
    "fit": "Fine-tune a model on tables of postings and careers; writes a run folder.",
    "validate": "Score a model on the validation split.",
    "test": "Score a model on unseen records: loss by task, and its rankings beside count models.",
    "predict": "Answer prompts, or the prompts of a table's unseen records, into a file.",
    "compare": "Score two models on the same unseen records, and judge the difference: a report.",
    "recommend": "Recommend positions, skills and qualifications for a position or skills.",
    "audit": "Report on a table without training: kept, dropped, cut, splits, tokens, leaks.",
}

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
    verb = words[0] if words else "--help"
    try:
        _run(verb, words)
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


def _run(verb: str, words: Sequence[str]) -> None:
    """Runs the verb, of which alone the code is imported."""
    if verb in ("-h", "--help"):
        print(_USAGE.format(verbs="\n".join(f"  {name:10}{text}" for name, text in VERBS.items())))
        return
    if verb not in VERBS:
        likely = "".join(f"; did you mean {name}?" for name in get_close_matches(verb, VERBS, n=1))
        raise InputError(f"no verb {verb!r}: there are {', '.join(VERBS)}{likely}")
    # With it torch would run what a checkpoint says, where a library leaves the choice to it.
    os.environ.pop("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", None)
    # Its retries are noise above the one line that says what could not be fetched.
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    # It would print what a model folder says, as it says it; what matters of that we check.
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    # Tokenizers that were used before a fork would warn at every fork.
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    if verb == "audit":
        from careergpt.cli.functions import run_audit

        run_audit(words[1:])
    elif verb == "compare":
        from careergpt.cli.compare import run_compare

        run_compare(words[1:])
    elif verb == "recommend":
        from careergpt.cli.recommend import run_recommend

        run_recommend(words[1:])
    else:
        from careergpt.cli.trainer import run_trainer

        run_trainer(words)
