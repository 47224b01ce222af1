"""Overlap of a text with others: words in order, known skills, runs of training texts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from itertools import islice

from careergpt.compare.trigram import IntArray
from careergpt.compare.unseen import TITLE, title_task
from careergpt.data.dataset import CareerDataset
from careergpt.data.names import key_words
from careergpt.data.prompts import Question
from careergpt.data.records import DESCRIPTION
from careergpt.data.tasks import Fields, render_prompt


def rouge_l(text: str, reference: str) -> float:
    """ROUGE-L F1 in [0, 1] (Lin, 2004); higher is better; 0 where either has no word.

    Words are runs of a-z and 0-9 in lower case, unstemmed, as in Google's `rouge_score`.
    """
    # torchmetrics takes seconds to import.
    from torchmetrics.functional.text.rouge import rouge_score

    return float(rouge_score(text, reference, rouge_keys="rougeL")["rougeL_fmeasure"])


def precision(found: AbstractSet[str], wanted: AbstractSet[str]) -> float:
    """Share of `found` that is wanted; 0 of nothing."""
    return len(found & wanted) / max(1, len(found))


def recall(found: AbstractSet[str], wanted: AbstractSet[str]) -> float:
    """Share of `wanted` that is found; 0 of nothing."""
    return len(found & wanted) / max(1, len(wanted))


def f1(found: AbstractSet[str], wanted: AbstractSet[str]) -> float:
    """Harmonic mean of precision and recall; 0 of nothing."""
    return 2 * len(found & wanted) / max(1, len(found) + len(wanted))


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


def prompts_with_skills(
    data: CareerDataset, split: int, finder: SkillFinder
) -> Iterator[tuple[Question, frozenset[str]]]:
    """The split's records that name known skills: the prompt that asks by the title, the skills.

    One of each group of near-duplicates, in the order of their hash.
    """
    found = title_task(data.tasks)
    if found is None or not finder:
        return
    for fields in data.drawn(split, TITLE):
        prompt, skills = render_prompt(found[1], fields), finder.find_in_record(fields)
        if prompt and skills:
            yield Question(str(fields[TITLE]), prompt), skills


def longest_copied(texts: Sequence[Sequence[int]], training: Iterable[IntArray]) -> list[int]:
    """For each text the tokens of its longest run that stands so within one training text.

    Memorisation, exactly. The training texts stream by once; memory is proportional to the tokens
    of `texts`. Example: of [9, 5, 6, 7] and the training text [0, 5, 6, 0] it is 2.

    Args:
        texts: Token ids, none negative.
        training: Token ids of a training text each, by the same tokenizer.
    """
    # No token has a negative id, so that no run of a training text spans two of ours.
    automaton = SuffixAutomaton(token for text in texts for token in (*text, -1))
    copied = _copied(automaton, training)
    ends = iter(automaton.ends)
    return [max(copied[end] for end in islice(ends, len(text) + 1)) for text in texts]


class SuffixAutomaton:
    """Recognises every run of a sequence (Blumer et al., 1985); at most two states a token.

    A state stands for runs that end at the same places of the sequence, each a suffix of the next
    longer. State 0 is the empty run.

    Attributes:
        longest: Tokens of each state's longest run.
        suffix: The state of the longest suffix that ends elsewhere too; -1 for state 0.
        following: For each state the next token -> the state that it leads to.
        ends: For each token of the sequence the state of all tokens up to it.
    """

    def __init__(self, tokens: Iterable[int]) -> None:
        """Reads the sequence."""
        self.longest, self.suffix, self.ends = [0], [-1], list[int]()
        self.following: list[dict[int, int]] = [{}]
        for token in tokens:
            self._append(token)

    def _append(self, token: int) -> None:
        """Makes the sequence longer by a token."""
        state = self.ends[-1] if self.ends else 0
        whole = self._state(self.longest[state] + 1, 0, {})
        self.ends.append(whole)
        while state != -1 and token not in self.following[state]:
            self.following[state][token] = whole
            state = self.suffix[state]
        if state != -1:
            self.suffix[whole] = self._after(state, token)

    def _after(self, state: int, token: int) -> int:
        """The state of `state`'s longest run with the token: split off where it has longer runs."""
        reached, length = self.following[state][token], self.longest[state] + 1
        if self.longest[reached] == length:
            return reached
        split = self._state(length, self.suffix[reached], dict(self.following[reached]))
        self.suffix[reached] = split
        while state != -1 and self.following[state].get(token) == reached:
            self.following[state][token] = split
            state = self.suffix[state]
        return split

    def _state(self, longest: int, suffix: int, following: dict[int, int]) -> int:
        self.longest.append(longest)
        self.suffix.append(suffix)
        self.following.append(following)
        return len(self.longest) - 1


def _copied(automaton: SuffixAutomaton, training: Iterable[IntArray]) -> list[int]:
    """For each state the longest copied run, in tokens, that its runs end with."""
    longest, suffix = automaton.longest, automaton.suffix
    copied = [0] * len(longest)
    for text in training:
        _match(automaton, text.tolist(), copied)
    by_length = sorted(range(1, len(longest)), key=longest.__getitem__)
    for state in reversed(by_length):
        if copied[state]:  # Then so is each suffix of it.
            copied[suffix[state]] = longest[suffix[state]]
    for state in by_length:
        copied[state] = max(copied[state], copied[suffix[state]])
    return copied


def _match(automaton: SuffixAutomaton, text: list[int], copied: list[int]) -> None:
    """Raises `copied` to the longest run of each state that ends at a token of the text."""
    longest, suffix, following = automaton.longest, automaton.suffix, automaton.following
    state = length = 0
    for token in text:
        reached = following[state].get(token)
        while reached is None and state:
            state = suffix[state]
            length = longest[state]
            reached = following[state].get(token)
        if reached is not None:
            state = reached
            length += 1
            if length > copied[state]:
                copied[state] = length
