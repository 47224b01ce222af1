"""Votes on answers whose models were not named: kept in a file, judged as `compare` judges."""

from __future__ import annotations

import errno
import hmac
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

import numpy as np

from careergpt.compare.statistics import ratio_interval, sign_flip
from careergpt.data.text_files import excerpt, json_object
from careergpt.data.whole_files import adding
from careergpt.errors import InputError
from careergpt.serve.messages import Side

FEW = 20
"""Votes, from which on they are judged."""

WORTH = {"finetuned": 1.0, "tie": 0.0, "baseline": -1.0}


def side_of(shown: Literal["A", "B"], draw: str, secret: bytes) -> Side:
    """The model behind a side: a fair coin for each draw, that nobody without the secret knows."""
    coin = hmac.digest(secret, draw.encode(), "sha256")[0] & 1
    return "finetuned" if (shown == "A") == bool(coin) else "baseline"


class Votes:
    """The file of votes, one JSON object a line, appended to; read once."""

    def __init__(self, path: Path) -> None:
        """Reads what is there.

        Raises:
            InputError: It cannot be read or written, or a line of it is no vote.
        """
        self._path, known = path, path.exists()
        try:
            path.touch()
            lines = path.read_text(encoding="utf-8").splitlines()
            if not os.access(path, os.W_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
            if not known:
                path.unlink()  # It could be made, and is by the first vote.
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(
                f"--votes {path}: {error}: name a file of votes, or one that can be made"
            ) from None
        self._votes = dict(_votes(lines, path))
        self._tally: dict[str, Any] | None = None

    def add(self, draw: str, prompt: str, preferred: str) -> None:
        """Keeps a vote; a draw counts once, by its last vote."""
        line = json.dumps({"draw": draw, "prompt": prompt, "preferred": preferred})
        with adding(self._path) as file:
            file.write(line + "\n")
        self._votes[draw] = prompt, WORTH[preferred]
        self._tally = None

    def tally(self) -> dict[str, Any]:
        """How often the fine-tuned model's answer was preferred, ties half, and how sure that is.

        Votes on one prompt are a cluster: they resemble each other.
        """
        if self._tally is None:
            self._tally = _judged(list(self._votes.values()))
        return self._tally


def _votes(lines: Iterable[str], path: Path) -> Iterable[tuple[str, tuple[str, float]]]:
    for number, line in enumerate(lines, 1):
        vote = json_object(line, f"{path}:{number}")
        try:
            yield str(vote["draw"]), (str(vote["prompt"]), WORTH[vote["preferred"]])
        except (KeyError, TypeError):
            raise InputError(
                f"{path}:{number}: no vote: {excerpt(line)}. Remove the line"
            ) from None


def _judged(votes: list[tuple[str, float]]) -> dict[str, Any]:
    if not votes:
        return {"votes": 0, "told": ""}
    prompts, scores, ones = (
        [v[0] for v in votes],
        np.array([v[1] for v in votes]),
        np.ones(len(votes)),
    )
    interval = ratio_interval(scores, ones, prompts)
    share, low, high = (float(np.clip((bound + 1) / 2, 0, 1)) for bound in interval)
    p = float(sign_flip(scores, ones, prompts))
    told = f"{len(votes)} vote{'s' if len(votes) > 1 else ''} so far"
    if len(votes) < FEW:
        told += f": too few to judge by, {FEW} are the least."
    else:
        told += (
            f": the fine-tuned model's answer was preferred {share:.0%} (95 % interval {low:.0%} "
            f"to {high:.0%}, ties half; p = {p:.3f})."
        )
    return {"votes": len(votes), "share": share, "low": low, "high": high, "p": p, "told": told}
