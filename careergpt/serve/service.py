"""The service behind the routes: JSON for programs, pages for people, from one model in memory."""

from __future__ import annotations

import json
import math
import secrets
from collections.abc import AsyncGenerator, Callable, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

from fastapi import HTTPException
from fastapi.responses import HTMLResponse, Response, StreamingResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import ValidationError

import careergpt
from careergpt.api import Model
from careergpt.errors import InputError
from careergpt.generation.decoding import repetition
from careergpt.recommend.paths import paths_as_json
from careergpt.recommend.recommendation import as_json
from careergpt.serve import SECONDS, WAIT, pages
from careergpt.serve.messages import (
    Blind,
    Generate,
    Message,
    Paths,
    Position,
    Recommend,
    Scored,
    Vote,
)
from careergpt.serve.votes import Votes, side_of
from careergpt.serve.work import FullError, LateError, Worker

ANSWERS_KEPT = 1_024
"""Recommendations that are kept: the same question has the same answer."""

UNWRITTEN = {"qualifications": False}
"""The page shows what is ranked at once, and has qualifications follow."""

Give = Callable[[tuple[str, Mapping[str, Any]]], None]


class Settings(NamedTuple):
    """What the server is told when it starts.

    Attributes:
        votes: What was preferred so far.
        wait: Seconds that a request may have to wait for others.
        seconds: The most that one may take.
        hosts: Names by which the server may be asked; None: any.
        token: What every request must hold; None: nothing.
    """

    votes: Votes
    wait: float = WAIT
    seconds: float = SECONDS
    hosts: tuple[str, ...] | None = None
    token: str | None = None


class Service:
    """Each public method answers a route: its parameters are the route's, checked by FastAPI."""

    def __init__(self, models: Mapping[str, Model], settings: Settings) -> None:
        """For "finetuned" and, where there is one, "baseline"."""
        self._models, self._finetuned = models, models["finetuned"]
        self._worker = Worker(settings.wait, settings.seconds)
        self._votes = settings.votes
        # Replicas know the same sides, and a server that was started anew those of before.
        self._secret = (settings.token or "").encode()
        self._answers: dict[str, str] = {}

    def close(self) -> None:
        """Lets what is worked on end."""
        self._worker.close()

    async def health(self) -> dict[str, str]:
        """Whether the server answers; it does once the models are loaded."""
        return {"status": "ok", "version": careergpt.__version__}

    async def metrics(self) -> Response:
        """Counters in Prometheus' text format."""
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    async def suggest(
        self, kind: Literal["titles", "skills"] = "titles", text: str = ""
    ) -> list[str]:
        """Known titles or skills that begin with the text, or a word of which does."""
        return pages.suggestions(self._finetuned.candidates(kind), text[:200])

    async def recommend(self, asked: Recommend) -> dict[str, Any]:
        """Next positions, skills to have and qualifications, as `recommend --format json`."""
        told = asked.model_dump()
        return await self._answer(asked, lambda: as_json(self._finetuned.recommend(**told)))

    async def paths(self, asked: Paths) -> dict[str, Any]:
        """The likeliest paths of several moves; to a goal, where one is given."""
        told = asked.model_dump()
        return await self._answer(asked, lambda: paths_as_json(self._finetuned.paths(**told)))

    async def qualifications(self, asked: Position) -> StreamingResponse:
        """Qualifications as server-sent events: `piece` as they are written, `end` with their part.

        The part that names qualifications is `text`; null where the model never saw them.
        """

        def work(give: Give) -> None:
            found = self._finetuned.qualifications(
                asked.position, lambda text: give(("piece", {"text": text}))
            )
            give(("end", {"text": None} if found is None else found._asdict()))

        return await self._streamed(work)

    async def score(self, asked: Scored) -> dict[str, float]:
        """What a completion costs a model, in nats; lower is better."""
        model = self._named(asked.model)
        score = await self._worker.run(lambda: model.score(asked.prompt, asked.completion))
        return score._asdict()

    async def generate(self, asked: Generate) -> StreamingResponse:
        """An answer as server-sent events: `piece` for new text, then an `end` with figures."""
        decoding = {"max_new_tokens": asked.max_new_tokens, "seed": asked.seed}
        decoding |= {"greedy": True} if asked.greedy else {}
        return await self._written(asked.model, asked.prompt, decoding)

    async def blind(self, asked: Blind) -> StreamingResponse:
        """The answer of side A or B, as /generate's; which model that is, the draw decides."""
        model = side_of(asked.side, asked.draw, self._secret)
        return await self._written(model, asked.prompt, {"max_new_tokens": asked.max_new_tokens})

    async def vote(self, given: Vote) -> dict[str, Any]:
        """Keeps a vote, tells whose the answers were, and what all votes say."""
        self._named("baseline")
        a, b = (side_of(side, given.draw, self._secret) for side in ("A", "B"))
        preferred = {"A": a, "B": b, "tie": "tie"}[given.preferred]
        self._votes.add(given.draw, given.prompt, preferred)
        return {"A": a, "B": b, "preferred": preferred, "tally": self._votes.tally()}

    async def explore(
        self,
        position: str | None = None,
        skills: str = "",
        history: str = "",
        goal: str = "",
        steps: int = 0,
        zone: int = 0,
        level: int = 0,
        common: int = 0,
    ) -> HTMLResponse:
        """The page that recommends; its address holds the question.

        With a goal, or a number of steps, it shows paths; with a zone or level, positions of no
        higher job zone or skill level than that; with `common`, those that ask for so many percent
        of the same skills as the position held.
        """
        asked = {"position": position or "", "skills": skills, "history": history, "goal": goal}
        told: dict[str, Any] = {name: text for name, text in asked.items() if text.strip()}
        found, paths, status, fault, headers = None, None, 200, "", dict[str, str]()
        try:
            if told and (steps or "goal" in told):
                paths = await self.paths(Paths.model_validate({**told, "steps": steps or 3}))
            elif told:
                found = await self.recommend(Recommend.model_validate({**told, **UNWRITTEN}))
            elif position is not None:  # The form was sent, and is empty.
                fault = "Nothing is told: give a position, skills, earlier positions or a goal."
        except (InputError, ValidationError, FullError, LateError) as error:
            status, fault, headers = refusal(error)
        return pages.page(
            "explore.html",
            status,
            headers,
            asked=asked,
            examples=pages.examples(
                self._finetuned.candidates("titles"), self._finetuned.candidates("skills")
            ),
            found=found,
            paths=paths,
            fault=fault,
            zone=zone,
            level=level,
            common=common,
        )

    async def compare(self, prompt: str = "", blind: bool = False) -> HTMLResponse:
        """One prompt answered by both models, side by side."""
        return pages.page(
            "compare.html",
            prompt=prompt[:2000],
            blind=blind,
            examples=self._finetuned.questions(),
            draw=secrets.token_hex(8),
            pair="baseline" in self._models,
            tally=self._votes.tally(),
        )

    async def about(self) -> HTMLResponse:
        """The model's card, and what its run has left: the report on its data, a comparison."""
        folder = Path(self._finetuned.folder)
        data, compared = pages.data_report(folder), pages.comparison(folder) is not None
        return pages.page("about.html", card=pages.card(folder), data=data, compared=compared)

    async def report(self) -> HTMLResponse:
        """The report of the comparison beside the model."""
        path = pages.comparison(Path(self._finetuned.folder))
        if path is None:
            raise HTTPException(404, "no comparison lies beside the model: run compare")
        # It brings its own style along, and no script.
        policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
        return HTMLResponse(
            path.read_text(encoding="utf-8"), headers={"content-security-policy": policy}
        )

    async def _answer(self, asked: Message, work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """What the work returns, or what it did for who asked the same before."""
        question = type(asked).__name__ + asked.model_dump_json()
        if question not in self._answers:  # Who asks what was asked waits for nobody.
            self._answers[question] = json.dumps(await self._worker.run(work))
            if len(self._answers) > ANSWERS_KEPT:
                del self._answers[next(iter(self._answers))]
        return dict(json.loads(self._answers[question]))

    def _named(self, name: str) -> Model:
        if name not in self._models:
            raise InputError("this server was started without --baseline: there is one model")
        return self._models[name]

    async def _written(
        self, name: str, prompt: str, decoding: Mapping[str, Any]
    ) -> StreamingResponse:
        model = self._named(name)

        def work(give: Give) -> None:
            answer = model.write(prompt, lambda text: give(("piece", {"text": text})), **decoding)
            figures = {
                "finish_reason": answer.finish_reason,
                "tokens": answer.n_tokens,
                "nats_per_token": -answer.log_probability / answer.n_tokens,
                "repetition": repetition(answer.token_ids),
            }
            give(("end", figures))

        return await self._streamed(work)

    async def _streamed(self, work: Callable[[Give], None]) -> StreamingResponse:
        """The events that the work gives; what fails before the first is a plain refusal."""
        events = self._worker.stream(work)
        first = await anext(events)

        async def lines() -> AsyncGenerator[str, None]:
            yield _event(*first)
            try:
                async for event in events:
                    yield _event(*event)
            except (LateError, InputError) as error:
                yield _event("error", {"error": refusal(error)[1]})
            finally:
                await events.aclose()

        return StreamingResponse(lines(), media_type="text/event-stream")


def _event(name: str, data: Mapping[str, Any]) -> str:
    return f"event: {name}\ndata: {json.dumps(data)}\n\n"


def refusal(error: Exception) -> tuple[int, str, dict[str, str]]:
    """Status, a sentence for who asked, and headers: a page that was turned away asks again."""
    if isinstance(error, FullError):
        after = str(math.ceil(error.after))
        sentence = f"many ask at once: ask again in {after} s"
        return 429, sentence, {"retry-after": after, "refresh": after}
    if isinstance(error, LateError):
        return 503, "this took too long: ask for less, or again later", {"retry-after": "5"}
    if isinstance(error, InputError):
        return 400, str(error), {}
    # pydantic's, one for each form that a field may have: the last is the nearest to what was sent.
    wrong = error.errors()[-1] if hasattr(error, "errors") else {}
    places = [str(part) for part in wrong.get("loc", ()) if part not in ("body", "query")]
    return 422, ": ".join([*places[:1], str(wrong.get("msg", "cannot be read"))]), {}
