"""The language model as a ranking: log P of every candidate, exactly."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
from jaxtyping import Float64

from careergpt.data.tasks import Field, Fields, Task, fields_of
from careergpt.data.tokens import encode_prompts, encode_texts
from careergpt.errors import InputError
from careergpt.generation.candidates import score_candidates
from careergpt.generation.trie import Trie
from careergpt.modeling.loaded import LoadedModel
from careergpt.recommend.candidates import Candidates
from careergpt.recommend.cloze import LISTS, RANKED, Cloze, check_ranked, cloze, neutral_text

_ITEMS = ("item",) * 9
"""A list long enough for any template that picks an item."""


class LanguageModel:
    """Scores the candidates of one ranking by a model."""

    def __init__(self, name: str, task: Task, candidates: Candidates, model: LoadedModel) -> None:
        """Lays the candidates out as a trie of the model's tokens.

        Args:
            name: The task's name: path, position or skills.
            task: Its templates.
            candidates: What is ranked.
            model: The model and its tokenizer.
        """
        check_ranked(name, task)
        self._name, self._task, self._field = name, task, RANKED[name]
        self._candidates, self._model = candidates, model

    def scores(self, queries: Sequence[Fields]) -> Float64[np.ndarray, "N C"]:
        """Nats: log P(candidate, then a separator or the end | the text before it).

        Args:
            queries: What is known of each; see `fitted`.

        Raises:
            InputError: A query leaves something open that the question asks for, or is too long.
        """
        prompts = [tuple(self._prompt_ids(self._asked(query))) for query in queries]
        places = {prompt: place for place, prompt in enumerate(dict.fromkeys(prompts))}
        scores = score_candidates(self._model.model, list(places), self._trie)
        return scores[[places[prompt] for prompt in prompts]]  # Equal questions are asked once.

    @cached_property
    def neutral(self) -> Float64[np.ndarray, " C"]:
        """Nats of each candidate after the task's own words, with nothing known."""
        ids = encode_prompts(self._model.tokenizer, [neutral_text(self._task)])
        return np.asarray(score_candidates(self._model.model, ids, self._trie)[0])

    def fitted(self, query: Fields) -> Fields | None:
        """The query with as much of its lists as the model can read before a candidate.

        Of the list that the candidate goes on with, a career, the latest items stay; of others the
        first. None where not even one item, or the title, leaves room, or where the question asks
        for more than is known.
        """
        longest = max((len(_items(value)) for value in query.values()), default=0)
        # An item has a token at least: no more of them than the model reads can fit.
        low, high = 0, min(longest, self._model.context)
        if high == longest and self._fits(query):
            return query
        while low < high:
            middle = (low + high + 1) // 2
            fits = self._fits(self._shortened(query, middle))
            low, high = (middle, high) if fits else (low, middle - 1)
        return self._shortened(query, low) if low else None

    def can_ask(self, query: Fields) -> bool:
        """Whether all that the question asks for is known."""
        return cloze(self._name, self._task, self._field, query) is not None

    def _fits(self, query: Fields) -> bool:
        if not self.can_ask(query):
            return False
        ids = self._prompt_ids(self._asked(query))
        return len(ids) + int(self._trie.depths.max()) <= self._model.context

    def _shortened(self, query: Fields, kept: int) -> Fields:
        return {
            name: value if isinstance(value, str) else _some(value, kept, name == self._field)
            for name, value in query.items()
        }

    def _asked(self, query: Fields) -> Cloze:
        asked = cloze(self._name, self._task, self._field, query)
        if asked is None:
            raise InputError(
                f"task {self._name!r} asks {self._task.prompt!r}: more than is known, which is "
                f"{', '.join(query) or 'nothing'}"
            )
        return asked

    def _prompt_ids(self, asked: Cloze) -> list[int]:
        tokenizer = self._model.tokenizer
        # A question without words is the end-of-text token, whatever its answer begins with.
        asked_ids = encode_prompts(tokenizer, [asked.prompt])[0]
        started = encode_texts(tokenizer, [piece.text for piece in asked.before])
        return [*asked_ids, *(id for ids in started for id in ids)]

    @cached_property
    def _trie(self) -> Trie:
        tokenizer = self._model.tokenizer
        # What stands around a candidate is the same, whatever is known.
        shape = self._asked(_example(self._name, self._task))
        ends = [encode_texts(tokenizer, [shape.rest])[0] + [tokenizer.eos_token_id]]
        if shape.next_item is not None:
            ends.append(encode_texts(tokenizer, [shape.next_item])[0])
        names = [shape.lead + name for name in self._candidates.names]
        return Trie(encode_texts(tokenizer, names), _least(ends))


def _least(ends: Sequence[list[int]]) -> list[list[int]]:
    """The ends without those that another begins: where one stands, the other does too."""
    return [end for end in ends if not any(o != end and o == end[: len(o)] for o in ends)]


def _example(name: str, task: Task) -> Fields:
    asked = [field for field in fields_of(task) if field != RANKED[name]]
    known: dict[str, Field] = {f: _ITEMS if f in LISTS else "text" for f in asked}
    return known | ({RANKED[name]: _ITEMS} if name == "path" else {})


def _items(value: Field) -> tuple[str, ...]:
    return () if isinstance(value, str) else value


def _some(items: tuple[str, ...], kept: int, latest: bool) -> tuple[str, ...]:
    return items[-kept:] if latest and kept else items[:kept]
