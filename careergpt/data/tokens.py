"""Examples: a task's question and answer as token ids, the question never scored."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from careergpt.data.foreign_files import check_files
from careergpt.data.tasks import Piece, PromptCompletion, text_of
from careergpt.errors import InputError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


class Example(NamedTuple):
    """One question and its answer.

    Attributes:
        token_ids: (L,) prompt, completion, and the end of text unless the completion was cut.
        n_prompt: The first `n_prompt` ids are never scored; all others are.
        n_bytes: UTF-8 bytes of the completion that the scored ids spell.
        n_cut: Tokens of the completion that did not fit.
        items: Start and end of each whole list item that may change places, flattened.
    """

    token_ids: list[int]
    n_prompt: int
    n_bytes: int
    n_cut: int
    items: list[int]

    @property
    def n_scored(self) -> int:
        """How many of its tokens carry the loss."""
        return len(self.token_ids) - self.n_prompt


class PromptTooLong(NamedTuple):
    """A prompt that leaves no room for a token of its completion."""

    n_tokens: int


def load_tokenizer(source: str) -> PreTrainedTokenizerFast:
    """The tokenizer of a hub name or a local folder, with or without a model beside it.

    Raises:
        InputError: There is none, it is not a fast one, or it has no end-of-text token.
    """
    from transformers import AutoTokenizer, GPT2Tokenizer

    folder = Path(source)
    check_files(folder)
    bare = (folder / "merges.txt").exists() and not (folder / "tokenizer.json").exists()
    try:
        loader: Any = GPT2Tokenizer if bare else AutoTokenizer
        tokenizer: PreTrainedTokenizerFast = loader.from_pretrained(source, trust_remote_code=False)
    except Exception as error:  # Transformers raises OSError, ValueError, KeyError, TypeError …
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(
            f"no tokenizer can be loaded from {source!r} ({reason[:150]}); "
            "name a folder that holds one, or a hub name on a machine with a network"
        ) from None
    if not getattr(tokenizer, "is_fast", False) or tokenizer.eos_token_id is None:
        raise InputError(f"the tokenizer of {source!r} is not a fast one with an end-of-text token")
    tokenizer.model_max_length = int(1e30)  # Lengths are ours to check; no warning is wanted.
    return tokenizer


def vocabulary_digest(tokenizer: PreTrainedTokenizerFast) -> str:
    """Names which token has which id: a model means these tokens by its ids, and no others."""
    return sha256(repr(sorted(tokenizer.get_vocab().items())).encode()).hexdigest()


def encode_texts(tokenizer: PreTrainedTokenizerFast, texts: Sequence[str]) -> list[list[int]]:
    """Token ids of each text; a special token's name in a text is text, never the token."""
    # The tokenizer's own call would also make masks and offsets, for a third of the time.
    backend = tokenizer.backend_tokenizer
    backend.no_truncation()
    backend.no_padding()
    backend.encode_special_tokens = True
    return [text.ids for text in backend.encode_batch_fast(list(texts), add_special_tokens=False)]


def prompt_start(tokenizer: PreTrainedTokenizerFast) -> list[int]:
    """What every prompt starts with: the begin-of-text token where the tokenizer adds one."""
    added = tokenizer("").input_ids
    return [added[0]] if added and added[0] == tokenizer.bos_token_id else []


def encode_prompts(
    tokenizer: PreTrainedTokenizerFast, prompts: Sequence[Sequence[Piece]]
) -> list[list[int]]:
    """Token ids of each prompt as the examples have them; an empty one is the end-of-text token."""
    encoded = iter(encode_texts(tokenizer, [piece.text for prompt in prompts for piece in prompt]))
    start = prompt_start(tokenizer)
    joined = [_join(start, prompt, encoded, frozenset())[0] for prompt in prompts]
    return [ids or [tokenizer.eos_token_id] for ids in joined]


def encode(
    pairs: Iterable[PromptCompletion],
    tokenizer: PreTrainedTokenizerFast,
    max_length: int,
    shuffled: frozenset[str] = frozenset(),
) -> list[Example | PromptTooLong]:
    """The pairs as token ids: the prompt whole, the completion cut where `max_length` ends.

    Prompt, completion and list items are tokenized apart, so that the tokens of each depend on
    itself alone: a prompt at prediction has the tokens that it had in training.
    """
    pairs = list(pairs)
    texts = [piece.text for pair in pairs for piece in (*pair.prompt, *pair.completion)]
    encoded = iter(encode_texts(tokenizer, texts))
    start = prompt_start(tokenizer)
    examples: list[Example | PromptTooLong] = []
    for pair in pairs:
        prompt, prompt_items = _join(start, pair.prompt, encoded, shuffled)
        prompt = prompt or [tokenizer.eos_token_id]
        whole, items = _join(prompt, pair.completion, encoded, shuffled)
        if len(prompt) >= max_length:
            examples.append(PromptTooLong(len(prompt)))
            continue
        spans = [bound for span in prompt_items + items if span[1] <= max_length for bound in span]
        n_cut = max(len(whole) + 1 - max_length, 0)
        if n_cut:
            kept = whole[:max_length]
            n_bytes = len(str(tokenizer.decode(kept[len(prompt) :])).encode("utf-8", "replace"))
        else:
            # A completion that was cut does not end here: only a whole one teaches the end.
            kept = [*whole, tokenizer.eos_token_id]
            n_bytes = len(text_of(pair.completion).encode("utf-8", "replace"))
        examples.append(Example(kept, len(prompt), n_bytes, n_cut, spans))
    return examples


def _join(
    before: list[int],
    pieces: Sequence[Piece],
    encoded: Iterator[list[int]],
    shuffled: frozenset[str],
) -> tuple[list[int], list[tuple[int, int]]]:
    """The ids before and those of the pieces, and where the items that may change places lie.

    Takes as many texts from `encoded` as there are pieces.
    """
    ids = list(before)
    spans = []
    for piece, piece_ids in zip(pieces, islice(encoded, len(pieces)), strict=True):
        if piece.item_of in shuffled:
            spans.append((len(ids), len(ids) + len(piece_ids)))
        ids.extend(piece_ids)
    return ids, spans
