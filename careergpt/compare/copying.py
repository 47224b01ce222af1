"""Memorisation: the longest run of tokens that a text has word for word from a training text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import NamedTuple

from careergpt.compare.trigram import IntArray


class SuffixAutomaton(NamedTuple):
    """Recognises every run of a sequence (Blumer et al., 1985).

    A state stands for runs that end at the same places of the sequence, each a suffix of the next
    longer. State 0 is the empty run.

    Attributes:
        longest: Tokens of each state's longest run.
        suffix: The state of the longest suffix that ends elsewhere too; -1 for state 0.
        following: For each state the next token -> the state that it leads to.
        ends: For each token of the sequence the state of all tokens up to it.
    """

    longest: list[int]
    suffix: list[int]
    following: list[dict[int, int]]
    ends: list[int]

    @classmethod
    def of(cls, tokens: Iterable[int]) -> SuffixAutomaton:
        """The automaton of a sequence; at most two states a token."""
        automaton = cls([0], [-1], [{}], [])
        for token in tokens:
            automaton._append(token)
        return automaton

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


def longest_copied(texts: Sequence[Sequence[int]], training: Iterable[IntArray]) -> list[int]:
    """For each text the tokens of its longest run that stands so within one training text.

    Exact. The training texts stream by once; memory is proportional to the tokens of `texts`.

    Args:
        texts: Token ids, none negative.
        training: Token ids of a training text each, by the same tokenizer.
    """
    # No token has a negative id, so that no run of a training text spans two of ours.
    automaton = SuffixAutomaton.of(token for text in texts for token in (*text, -1))
    copied = _copied(automaton, training)
    ends = iter(automaton.ends)
    return [max(copied[end] for end in islice(ends, len(text) + 1)) for text in texts]


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
    longest, suffix, following, _ = automaton
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
