"""The same text for several readers: it ends for all where one could read no more."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from transformers import PreTrainedTokenizerFast

from careergpt.data.tasks import Piece, PromptCompletion, text_of
from careergpt.data.tokens import Example, encode


class Reader(NamedTuple):
    """A tokenizer, and the longest example in tokens that its model is given."""

    tokenizer: PreTrainedTokenizerFast
    max_length: int


Alike = tuple[tuple[Example, ...], ...]
"""By reader, then by question: the same completion after each question, to the same end."""


def encode_alike(
    asked: Sequence[Sequence[PromptCompletion]], readers: Sequence[Reader]
) -> list[Alike | None]:
    """For each completion its examples: by reader, then by the questions that it answers.

    Args:
        asked: For each completion the pairs with its questions, equally many for all.
        readers: One, or several whose tokens differ.

    Returns:
        None for a completion of which a question leaves no reader room for a token.
    """
    flat = [pair for pairs in asked for pair in pairs]
    encoded = [encode(flat, reader.tokenizer, reader.max_length) for reader in readers]
    found: list[Alike | None] = []
    at = 0
    for pairs in asked:
        examples = [tuple(some[at : at + len(pairs)]) for some in encoded]
        at += len(pairs)
        whole = tuple(
            tuple(example for example in some if isinstance(example, Example)) for some in examples
        )
        fits = all(len(some) == len(pairs) for some in whole)
        found.append(_cut_alike(pairs, whole, readers) if fits else None)
    return found


def _cut_alike(
    pairs: Sequence[PromptCompletion], whole: Alike, readers: Sequence[Reader]
) -> Alike | None:
    if not any(example.n_cut for some in whole for example in some):
        return whole
    if len(readers) == 1:
        # Questions differ in length, so a cut falls elsewhere: the shortest counts for all.
        kept = min(len(example.token_ids) - example.n_prompt for example in whole[0])
        return (tuple(_first(example, kept, readers[0]) for example in whole[0]),)
    return _cut_text(pairs, whole, readers)


def _first(example: Example, kept: int, reader: Reader) -> Example:
    more = example.n_scored - kept
    if not more:
        return example
    ids = example.token_ids[: example.n_prompt + kept]
    text = str(reader.tokenizer.decode(ids[example.n_prompt :]))
    return example._replace(
        token_ids=ids, n_bytes=len(text.encode("utf-8", "replace")), n_cut=example.n_cut + more
    )


def _cut_text(
    pairs: Sequence[PromptCompletion], whole: Alike, readers: Sequence[Reader]
) -> Alike | None:
    """The completion's first words, as many as every reader can read; without its end."""
    room = min(
        _n_chars(example, reader)
        for some, reader in zip(whole, readers, strict=True)
        for example in some
    )
    text = text_of(pairs[0].completion)
    while room > 0:
        # Tokenizers split at white space, so that the words before it keep their tokens.
        room = max((at for at in range(1, min(room, len(text))) if text[at].isspace()), default=0)
        cut = [pair._replace(completion=_first_chars(pair.completion, room)) for pair in pairs]
        again = [encode(cut, reader.tokenizer, reader.max_length + 1) for reader in readers]
        examples = [example for some in again for example in some if isinstance(example, Example)]
        if room and not any(example.n_cut for example in examples):
            return tuple(
                tuple(_without_end(example) for example in some if isinstance(example, Example))
                for some in again
            )
    return None


def _n_chars(example: Example, reader: Reader) -> int:
    """Characters of the completion that the example's tokens spell whole."""
    text = str(reader.tokenizer.decode(example.token_ids[example.n_prompt :]))
    return len(text.rstrip("\ufffd"))


def _first_chars(pieces: Sequence[Piece], n_chars: int) -> tuple[Piece, ...]:
    kept = []
    for piece in pieces:
        text = piece.text[:n_chars]
        n_chars -= len(text)
        if text:
            kept.append(piece._replace(text=text))
    return tuple(kept)


def _without_end(example: Example) -> Example:
    # A text that was cut does not end here. One token counts as cut: it is no whole text.
    return example._replace(token_ids=example.token_ids[:-1], n_cut=1)
