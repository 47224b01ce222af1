"""Votes on answers whose models were not named: kept in a file, judged as `compare` judges."""

from __future__ import annotations

import hmac
import json
import secrets
from pathlib import Path
from typing import Any, Literal

import numpy as np

from careergpt.compare.statistics import ratio_interval, sign_flip
from careergpt.serve.messages import Side, Vote


def side_of(shown: Literal["A", "B"], draw: str, secret: bytes) -> Side:
    """The model behind a side: a fair coin for each draw, that nobody without the secret knows."""
    coin = hmac.digest(secret, draw.encode(), "sha256")[0] & 1
    return "finetuned" if (shown == "A") == bool(coin) else "baseline"


class Votes:
    """The file of votes, one JSON object a line, appended to."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.secret = secrets.token_bytes(16)

    def add(self, vote: Vote) -> dict[str, Any]:
        """Keeps the vote; tells what A was, and the tally with it."""
        a = side_of("A", vote.draw, self.secret)
        other = "baseline" if a == "finetuned" else "finetuned"
        preferred = {"A": a, "B": other, "tie": "tie"}[vote.preferred]
        line = json.dumps({"draw": vote.draw, "prompt": vote.prompt, "preferred": preferred})
        with self._path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")
        return {"A": a, "B": other, "preferred": preferred, "tally": self.tally()}

    def tally(self) -> dict[str, Any]:
        """How often the fine-tuned model's answer was preferred, ties half, and how sure that is.

        A draw counts once, by its last vote. Votes on one prompt are a cluster: they resemble each
        other.
        """
        votes = {vote["draw"]: vote for vote in self._read()}.values()
        if not votes:
            return {"votes": 0}
        values = {"finetuned": 1.0, "tie": 0.0, "baseline": -1.0}
        scores = np.array([values[vote["preferred"]] for vote in votes])
        prompts, ones = [vote["prompt"] for vote in votes], np.ones(len(votes))
        interval = ratio_interval(scores, ones, prompts)
        share, low, high = (float(np.clip((bound + 1) / 2, 0, 1)) for bound in interval)
        p = float(sign_flip(scores, ones, prompts))
        return {"votes": len(votes), "share": share, "low": low, "high": high, "p": p}

    def _read(self) -> list[dict[str, str]]:
        if not self._path.exists():
            return []
        with self._path.open(encoding="utf-8") as lines:
            return [json.loads(line) for line in lines]
