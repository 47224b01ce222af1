"""Tokens: examples as token ids, of which the prompt is never scored; tokenizers."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from careergpt.data.foreign_files import check_files
from careergpt.data.tasks import (
    Piece,
    PromptCompletion,
    PromptForm,
    text_of,
)
from careergpt.data.whole_files import whole, write_json
from careergpt.errors import InputError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

END_OF_TEXT = "<|endoftext|>"

_PROBE = "Caf\u00e9 Cafe\u0301  SQL's 2,500 C++/\uff23#\t\n don't_stop e-mail"
# Stands for the message while a chat template is filled in: templates may change what they are
# given at its ends, so it is plain letters.
_MESSAGE = "CAREERGPTMESSAGE"

SMALLEST = 257
"""Entries of a vocabulary: all bytes, so that no text is unknown, and the end of text."""


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


def token_digests(tokenizer: PreTrainedTokenizerFast) -> dict[str, str]:
    """Names what a model means by its ids: which token has which, and how text becomes tokens.

    Neither depends on a library's version or the form of a file: of what normalises and splits a
    text, the ids of a text with something for each to do are told.
    """
    model = json.loads(tokenizer.backend_tokenizer.to_str())["model"]
    # Versions write a merge as a text or as a pair.
    merges = [pair if isinstance(pair, str) else " ".join(pair) for pair in model.get("merges", ())]
    meant = {
        "vocabulary": sorted(tokenizer.get_vocab().items()),
        "tokenization": [merges, encode_texts(tokenizer, [_PROBE])],
    }
    return {name: sha256(repr(what).encode()).hexdigest() for name, what in meant.items()}


def encode_texts(
    tokenizer: PreTrainedTokenizerFast, texts: Sequence[str], *, special: bool = False
) -> list[list[int]]:
    """Token ids of each text; a special token's name is text, unless `special` says otherwise."""
    # The tokenizer's own call would also make masks and offsets, for a third of the time.
    backend = tokenizer.backend_tokenizer
    backend.no_truncation()
    backend.no_padding()
    backend.encode_special_tokens = not special
    return [text.ids for text in backend.encode_batch_fast(list(texts), add_special_tokens=False)]


def prompt_frame(
    tokenizer: PreTrainedTokenizerFast, form: PromptForm
) -> tuple[list[int], list[int]]:
    """The ids before and after those of a prompt of this form.

    Special tokens come from here alone: the begin-of-text token where the tokenizer adds one, or
    those of the chat template.

    Raises:
        InputError: The tokenizer has no chat template, or one that cannot be used.
    """
    if form == "chat":
        before, after = encode_texts(tokenizer, _chat_template(tokenizer), special=True)
        return before, after
    added = tokenizer("").input_ids
    start = [added[0]] if added and added[0] == tokenizer.bos_token_id else []
    return start, encode_texts(tokenizer, ["\n"])[0] if form == "newline" else []


def _chat_template(tokenizer: PreTrainedTokenizerFast) -> tuple[str, str]:
    """What the chat template writes before a user's first message, and up to the answer to it."""
    from jinja2 import TemplateError

    if not tokenizer.chat_template:
        raise InputError(
            "--data.prompt_form chat: the model's tokenizer has no chat template; use newline"
        )
    message = {"role": "user", "content": _MESSAGE}
    try:
        text = str(
            tokenizer.apply_chat_template([message], tokenize=False, add_generation_prompt=True)
        )
    except (TemplateError, ValueError, TypeError) as error:
        raise InputError(
            f"--data.prompt_form chat: the tokenizer's chat template cannot be used ({error})"
        ) from None
    before, *after = text.split(_MESSAGE)
    if len(after) != 1:
        raise InputError(
            "--data.prompt_form chat: the tokenizer's chat template shows a message "
            f"{len(after)} times, not once; use newline"
        )
    return before, after[0]


def encode_prompts(
    tokenizer: PreTrainedTokenizerFast,
    prompts: Sequence[Sequence[Piece]],
    form: PromptForm = "plain",
) -> list[list[int]]:
    """Token ids of each prompt as the examples have them; an empty one is the end-of-text token."""
    encoded = iter(encode_texts(tokenizer, [piece.text for prompt in prompts for piece in prompt]))
    before, after = prompt_frame(tokenizer, form)
    joined = [_join(before, prompt, encoded, frozenset())[0] + after for prompt in prompts]
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
    frames = {form: prompt_frame(tokenizer, form) for form in {pair.form for pair in pairs}}
    examples: list[Example | PromptTooLong] = []
    for pair in pairs:
        before, after = frames[pair.form]
        prompt, prompt_items = _join(before, pair.prompt, encoded, shuffled)
        prompt = prompt + after or [tokenizer.eos_token_id]
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


def train_tokenizer(texts: Iterable[str], size: int, folder: Path) -> None:
    """Writes a byte-level BPE of `size` tokens at most (Sennrich et al., 2016).

    Few texts have fewer pairs to merge; the same texts in the same order give the same tokens.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    if size < SMALLEST:
        raise InputError(f"model.scratch.vocabulary must be {SMALLEST} or more, found {size}")
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=[END_OF_TEXT],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    with whole(folder / "tokenizer.json") as partial:
        tokenizer.save(str(partial))
    # What transformers needs beside it, in the form that its versions 4 and 5 both read.
    special = dict.fromkeys(("bos_token", "eos_token", "unk_token"), END_OF_TEXT)
    write_json(
        folder / "tokenizer_config.json",
        {"tokenizer_class": "PreTrainedTokenizerFast", "clean_up_tokenization_spaces": False}
        | special,
    )
