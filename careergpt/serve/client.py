"""A client of the server: what a loaded model answers, asked over HTTP, in the same types.

from careergpt.serve.client import Client

with Client("http://127.0.0.1:7860") as model:
    model.recommend(position="Registered nurse").positions[0].title
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from typing import Any, NamedTuple

import httpx
from pydantic import TypeAdapter

from careergpt.api import Score
from careergpt.errors import InputError
from careergpt.recommend.paths import Paths
from careergpt.recommend.recommendation import Qualifications, Recommendation

Texts = str | Sequence[str]


class Written(NamedTuple):
    """An answer: its text, why it ended ("end", "length", "stop"), and its figures."""

    text: str
    finish_reason: str
    tokens: int
    nats_per_token: float
    repetition: float


class Client:
    """Asks a server that `main.py serve` has started; one that is busy is asked again."""

    def __init__(self, address: str, token: str | None = None, *, seconds: float = 60.0) -> None:
        """Opens a connection when it is first used.

        Args:
            address: As http://127.0.0.1:7860.
            token: What the server was given as CAREERGPT_TOKEN.
            seconds: The longest that an answer may take, being asked again included.
        """
        headers = {} if token is None else {"authorization": f"Bearer {token}"}
        self._seconds = seconds
        self._http = httpx.Client(base_url=address, headers=headers, timeout=seconds)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Lets go of the connection."""
        self._http.close()

    def recommend(
        self,
        *,
        position: str | None = None,
        skills: Texts | None = None,
        history: Texts | None = None,
        qualifications: bool = True,
    ) -> Recommendation:
        """As `Model.recommend`.

        Raises:
            InputError: What is asked is refused, in one sentence.
            httpx.HTTPError: The server cannot be reached, or takes too long.
        """
        told = {"position": position, "skills": _plain(skills), "history": _plain(history)}
        found = self._asked("/recommend", {**told, "qualifications": qualifications})
        if found["qualifications"]:
            del found["qualifications"]["written_by"]
        return TypeAdapter(Recommendation).validate_python(found)

    def paths(
        self,
        *,
        position: str | None = None,
        skills: Texts | None = None,
        history: Texts | None = None,
        goal: str = "",
        steps: int = 3,
    ) -> Paths:
        """As `Model.paths`."""
        told = {"position": position, "skills": _plain(skills), "history": _plain(history)}
        found = self._asked("/paths", {**told, "goal": goal, "steps": steps})
        return TypeAdapter(Paths).validate_python(found)

    def qualifications(
        self, position: str, on_text: Callable[[str], None] | None = None
    ) -> Qualifications | None:
        """As `Model.qualifications`."""
        end = self._streamed("/qualifications", {"position": position}, on_text)[1]
        return None if end["text"] is None else Qualifications(**end)

    def score(self, prompt: str, completion: str, model: str = "finetuned") -> Score:
        """As `Model.score`, of "finetuned" or "baseline"."""
        asked = {"prompt": prompt, "completion": completion, "model": model}
        return Score(**self._asked("/score", asked))

    def write(
        self, prompt: str, on_text: Callable[[str], None] | None = None, **options: Any
    ) -> Written:
        """As `Model.write`; `options`: model, max_new_tokens, seed, greedy."""
        text, end = self._streamed("/generate", {"prompt": prompt, **options}, on_text)
        return Written(text.strip(), **end)

    def _asked(self, path: str, body: dict[str, Any]) -> Any:
        with closing(self._sent(path, body)) as answer:
            return json.loads(answer.read())

    def _streamed(
        self, path: str, body: dict[str, Any], on_text: Callable[[str], None] | None
    ) -> tuple[str, dict[str, Any]]:
        """All text, and the last event."""
        text = ""
        with closing(self._sent(path, body)) as answer:
            for event, data in _events(answer.iter_lines()):
                if event == "piece":
                    text += data["text"]
                    if on_text:
                        on_text(data["text"])
                elif event == "error":
                    raise InputError(data["error"])
                else:
                    return text, data
        raise httpx.RemoteProtocolError("the answer was cut off")

    def _sent(self, path: str, body: dict[str, Any]) -> httpx.Response:
        """The open answer."""
        until = time.monotonic() + self._seconds
        while True:
            request = self._http.build_request("POST", path, json=body)
            answer = self._http.send(request, stream=True)
            if answer.status_code < 400:
                return answer
            said = json.loads(answer.read()).get("error", answer.reason_phrase)
            again = float(answer.headers.get("retry-after", "inf"))
            if answer.status_code != 429 or time.monotonic() + again > until:
                raise InputError(f"{path}: {said}")
            time.sleep(again)


def _plain(texts: Texts | None) -> str | list[str] | None:
    return texts if isinstance(texts, str | None) else list(texts)


def _events(lines: Iterator[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Server-sent events: their name, and their data as JSON."""
    name = ""
    for line in lines:
        field, _, value = line.partition(": ")
        if field == "event":
            name = value
        elif field == "data":
            yield name, json.loads(value)
