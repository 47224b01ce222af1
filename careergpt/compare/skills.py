"""Known skills: which of them a text names, and which records can be asked for them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from careergpt.compare.titles import TITLE, title_task
from careergpt.data.dataset import CareerDataset
from careergpt.data.names import key_words
from careergpt.data.prompts import Question
from careergpt.data.records import DESCRIPTION
from careergpt.data.tasks import Fields, render_prompt


class SkillFinder:
    """Finds known skills in texts, compared by case, white space and punctuation only.

    Whole words count, and marks that make a name: C++, C#, .NET and vue.js are not C, net and js.
    """

    def __init__(self, known: Iterable[str]) -> None:
        """Remembers the skills.

        Args:
            known: Their names; of two that are compared as equal, the first stands for both.
        """
        self._names: dict[tuple[str, ...], str] = {}
        self._lengths: dict[str, set[int]] = defaultdict(set)
        for name in known:
            if words := key_words(name):
                self._names.setdefault(words, name)
                self._lengths[words[0]].add(len(words))

    def __len__(self) -> int:
        """How many skills are known."""
        return len(self._names)

    def find(self, text: str) -> frozenset[str]:
        """Names of the known skills in the text, also of those within longer ones.

        Linear in the text: each word is tried with the lengths of the skills that start with it.
        """
        words = key_words(text)
        runs = (
            words[start : start + length]
            for start, first in enumerate(words)
            for length in self._lengths.get(first, ())
        )
        return frozenset(self._names[run] for run in runs if run in self._names)

    def find_in_record(self, fields: Fields) -> frozenset[str]:
        """Names of the known skills in a record's list of skills and in its description."""
        listed = fields.get("skills", ())
        # Item by item: a skill does not run from one item into the next.
        texts = [listed] if isinstance(listed, str) else [*listed]
        texts.append(str(fields.get(DESCRIPTION, "")))
        return frozenset(skill for text in texts for skill in self.find(text))


class AskedRecord(NamedTuple):
    """The question that asks by a record's title, and the known skills that the record names."""

    question: Question
    skills: frozenset[str]


def askable(data: CareerDataset, split: int, finder: SkillFinder) -> Iterator[AskedRecord]:
    """The split's records that name known skills, each asked by the first task that asks a title.

    One of each group of near-duplicates, in the order of their hash.
    """
    found = title_task(data.tasks)
    if found is None or not finder:
        return
    for fields in data.drawn(split, TITLE):
        question, skills = render_prompt(found[1], fields), finder.find_in_record(fields)
        if question and skills:
            yield AskedRecord(Question(str(fields[TITLE]), question), skills)
