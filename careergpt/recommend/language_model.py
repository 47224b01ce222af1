"""The language model as a ranking: log P of every candidate after a task's text, exactly."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64

from careergpt.data.tasks import (
    Field,
    Fields,
    Piece,
    PromptForm,
    Task,
    fields_of,
    parse_template,
    prompt_completion,
    space_between,
    text_of,
)
from careergpt.data.tokens import encode_prompts, encode_texts
from careergpt.errors import InputError
from careergpt.generation.candidates import Trie, score_candidates
from careergpt.modeling.loaded import LoadedModel
from careergpt.recommend.calibration import AS_SCORED, Calibration, calibrated
from careergpt.recommend.candidates import LISTS, TARGET, Candidates, items_in

Logs = Float64[np.ndarray, "N C"]

# No cleaned text holds it: it stands for the candidate while the template is filled.
_MARK = "\x00"

_ITEMS = ("item",) * 9
"""A list long enough for any template that picks an item."""


class CandidateText(NamedTuple):
    """A task's text with a candidate missing.

    Of the task path, "Career path: Clerk > Analyst > …" has the prompt "Career path: Clerk", before
    the candidate " > Analyst >", its lead " ", another item after " >", and nothing as its rest.

    Attributes:
        prompt: The question.
        before: What comes before the candidate in the answer.
        lead: What the candidate's own tokens begin with: the space before it.
        next_item: The text between the candidate and another item of its list; None: no list.
        rest: The text between the candidate and the end of text.
    """

    prompt: tuple[Piece, ...]
    before: tuple[Piece, ...]
    lead: str
    next_item: str | None
    rest: str


def candidate_text(
    name: str, task: Task, known: Fields, form: PromptForm = "plain"
) -> CandidateText | None:
    """The task's question and answer around the candidate, as training lays them out.

    `known` has one item at least of each list that the question shows; where the candidate is the
    next item of a list, the items before. None where the question asks for more than is known, or
    the templates name the candidate anywhere but once, in the answer.
    """
    field = TARGET[name]
    items = known.get(field, ())
    if isinstance(items, str):
        raise ValueError(f"{field} is what is asked for: it cannot be known")
    is_list = field in LISTS
    value = (*items, _MARK) if is_list else _MARK
    pair = prompt_completion(name, task, {**known, field: value}, form)
    if pair is None or _MARK in text_of(pair.prompt) or text_of(pair.completion).count(_MARK) != 1:
        return None
    before, lead, rest = _parted(pair.completion)
    if not is_list:
        return CandidateText(pair.prompt, before, lead, None, rest)
    more = prompt_completion(name, task, {**known, field: (*items, _MARK, _MARK)}, form)
    assert more is not None
    after, another, _ = _parted(more.completion)[2].partition(_MARK)
    next_item = after.removesuffix(lead) if another else None  # "{titles[-1]}" is no list.
    return CandidateText(pair.prompt, before, lead, next_item, rest)


def _parted(pieces: Sequence[Piece]) -> tuple[tuple[Piece, ...], str, str]:
    """What is before the mark, the space that it begins with, and the text after it."""
    at = next(place for place, piece in enumerate(pieces) if _MARK in piece.text)
    start, _, end = pieces[at].text.partition(_MARK)
    lead = " " if start.endswith(" ") else ""
    start = start.removesuffix(" ")
    before = (*pieces[:at], Piece(start, None)) if start else tuple(pieces[:at])
    return before, lead, end + "".join(piece.text for piece in pieces[at + 1 :])


def neutral_text(task: Task, form: PromptForm = "plain") -> tuple[tuple[Piece, ...], ...]:
    """The task's own words before a candidate, with nothing known (Holtzman et al., 2021).

    Of its prompt, and of its completion.
    """
    prompt = "".join(slot.literal for slot in parse_template(task.prompt) if not slot.part).rstrip()
    answer = next(s.literal for s in parse_template(task.completion) if not s.part).rstrip()
    answer = answer and space_between(prompt, answer, form) + answer
    return tuple((Piece(text, None),) if text else () for text in (prompt, answer))


def check_ranking_task(name: str, task: Task) -> None:
    """Raises InputError for a task of a ranking's name whose answer does not name candidates."""
    if TARGET[name] not in fields_of(Task("", task.completion)):
        raise InputError(
            f"task {name!r} ranks {TARGET[name]}, and its completion {task.completion!r} has none: "
            "call the task otherwise"
        )


class Reading(NamedTuple):
    """What a model reads of a query: its fields, as far as they fit, and the tokens they make."""

    known: Fields
    token_ids: tuple[int, ...]


class LanguageModel:
    """Ranks the candidates of one task by a model."""

    def __init__(
        self,
        name: str,
        task: Task,
        candidates: Candidates,
        model: LoadedModel,
        calibration: Calibration = AS_SCORED,
        neutral: Float64[np.ndarray, " C"] | None = None,
    ) -> None:
        """Of a task by its name; the calibration is how scores become probabilities.

        What `neutral` would give can be given, where it was kept.
        """
        check_ranking_task(name, task)
        self._name, self._task, self._model = name, task, model
        self._candidates, self.calibration = candidates, calibration
        if neutral is not None:
            self.neutral = neutral
        self._kept: dict[tuple[int, ...], Float64[np.ndarray, " C"]] = {}
        self._latest: tuple[Sequence[int], LanguageModel] | None = None

    def among(self, places: Sequence[int]) -> LanguageModel:
        """The same model of these candidates alone; the latest is kept, with what it scored."""
        if self._latest is None or self._latest[0] != places:
            neutral = self.neutral[list(places)] if self.calibration.surface else None
            parts = self._name, self._task, self._candidates.at(places), self._model
            self._latest = places, LanguageModel(*parts, self.calibration, neutral)
        return self._latest[1]

    def log_probabilities(self, queries: Sequence[Reading]) -> Logs:
        """Log-probabilities of each query, normalised over the candidates."""
        return self.calibrate(self.scores(queries), self.calibration)

    def calibrate(self, scores: Logs, calibration: Calibration) -> Logs:
        """Log-probabilities of these scores."""
        neutral = self.neutral if calibration.surface else np.zeros(scores.shape[1])
        return calibrated(scores, neutral, calibration)

    def scores(self, queries: Sequence[Reading]) -> Logs:
        """Nats: log P(candidate, then a separator or the end | the text before it)."""
        prompts = [query.token_ids for query in queries]
        known = {prompt: self._kept[prompt] for prompt in prompts if prompt in self._kept}
        if new := [prompt for prompt in dict.fromkeys(prompts) if prompt not in known]:
            scores = score_candidates(self._model.model, new, self._trie)
            known |= dict(zip(new, scores, strict=True))
        # Equal questions are asked once, and those of one call are kept for the next.
        self._kept = known
        return np.stack([known[prompt] for prompt in prompts])

    @cached_property
    def neutral(self) -> Float64[np.ndarray, " C"]:
        """Nats of each candidate after the task's own words, with nothing known."""
        ids = self._ids(*neutral_text(self._task, self._model.form))
        return np.asarray(score_candidates(self._model.model, [ids], self._trie)[0])

    @property
    def cost(self) -> int:
        """Products of a parameter and a token that one query takes."""
        return len(self._trie.inner) * self._model.model.num_parameters()

    def can_ask(self, query: Fields) -> bool:
        """Whether all that the question asks for is known."""
        return self._asked(query) is not None

    def read(self, query: Fields) -> Reading:
        """The query with as much of its lists as the model can read before a candidate.

        Of the list that the candidate goes on with, a career, the latest items stay; of others the
        first.

        Raises:
            InputError: Not even one item, or the title, leaves room, or the question asks for more
                than is known.
        """
        lists = [value for value in query.values() if not isinstance(value, str)]
        # An item has a token at least: no more of them than the model reads can fit.
        high = min(max(map(len, lists), default=0), self._model.context)
        found = self._fitting(query, high)
        low, high = (0, high - 1) if found is None else (high, high)
        while low < high:
            middle = (low + high + 1) // 2
            shorter = self._fitting(query, middle)
            if shorter is None:
                high = middle - 1
            else:
                found, low = shorter, middle
        if found is None:
            self._text(query)
            items = ", ".join(item for field in query for item in items_in(query, field))
            raise InputError(
                f"{items[:60]!r} leaves the model no room for a candidate: shorten it, or list "
                "shorter candidates"
            )
        return found

    def _fitting(self, query: Fields, kept: int) -> Reading | None:
        """The query with so many items of its lists; None where that is too much, or too little."""
        known = {
            name: value if isinstance(value, str) else self._some(name, value, kept)
            for name, value in query.items()
        }
        text = self._asked(known)
        if text is None:
            return None
        ids = self._ids(text.prompt, text.before)
        if len(ids) + int(self._trie.depths.max()) > self._model.context:
            return None
        return Reading(known, tuple(ids))

    def _asked(self, known: Fields) -> CandidateText | None:
        return candidate_text(self._name, self._task, known, self._model.form)

    def _ids(self, prompt: Sequence[Piece], before: Sequence[Piece]) -> list[int]:
        """The question, then what comes before the candidate in the answer."""
        _, _, tokenizer, _, form = self._model
        # A question without words is the end-of-text token, whatever its answer begins with.
        (ids,) = encode_prompts(tokenizer, [prompt], form)
        started = encode_texts(tokenizer, [piece.text for piece in before])
        return ids + [id for ids in started for id in ids]

    def _some(self, name: str, items: tuple[str, ...], kept: int) -> tuple[str, ...]:
        latest = name == TARGET[self._name] and kept
        return items[-kept:] if latest else items[:kept]

    def _text(self, query: Fields) -> CandidateText:
        text = self._asked(query)
        if text is None:
            raise InputError(
                f"task {self._name!r} asks {self._task.prompt!r}: more than is known, which is "
                f"{', '.join(query) or 'nothing'}"
            )
        return text

    @cached_property
    def _trie(self) -> Trie:
        tokenizer = self._model.tokenizer
        # What stands around a candidate is the same, whatever is known.
        others = [field for field in fields_of(self._task) if field != TARGET[self._name]]
        known: dict[str, Field] = {f: _ITEMS if f in LISTS else "text" for f in others}
        if self._name == "path":
            known["titles"] = _ITEMS
        text = self._text(known)
        ends = [encode_texts(tokenizer, [text.rest])[0] + [tokenizer.eos_token_id]]
        if text.next_item is not None:
            ends.append(encode_texts(tokenizer, [text.next_item])[0])
        # Where one end begins another, the shorter is both.
        least = [end for end in ends if not any(o != end and o == end[: len(o)] for o in ends)]
        names = [text.lead + name for name in self._candidates.names]
        return Trie(encode_texts(tokenizer, names), least)
