"""Tokens: examples as token ids, of which the prompt is never scored; token files; tokenizers."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa
from jaxtyping import Int32
from numpy.typing import NDArray

from careergpt.data.foreign_files import check_files
from careergpt.data.records import RecordRules, fields_of_row
from careergpt.data.tasks import (
    Piece,
    PromptCompletion,
    PromptForm,
    prompt_completion,
    text_of,
)
from careergpt.data.whole_files import read_arrow, whole, write_json
from careergpt.errors import InputError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

TOKEN_SCHEMA = pa.schema(
    {
        "record": pa.int64(),
        "task": pa.int16(),
        "n_prompt": pa.int32(),
        "length": pa.int32(),
        "n_bytes": pa.int32(),
        "n_cut": pa.int32(),
        "token_ids": pa.list_(pa.int32()),
        "items": pa.list_(pa.int32()),
    }
)
"""Of a token file: an example a row."""

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


def encode_records(
    rows: Sequence[tuple[int, dict[str, Any]]],
    *,
    rules: RecordRules,
    tokenizer: PreTrainedTokenizerFast,
    max_length: int,
    shuffled: frozenset[str],
    form: PromptForm = "plain",
) -> dict[str, list[Any]]:
    """The token file's columns for these records; a prompt too long has length 0 and no ids."""
    pairs = [
        (record, number, pair)
        for record, row in rows
        for number, (name, task) in enumerate(rules.tasks.items())
        if (pair := prompt_completion(name, task, fields_of_row(row), form))
    ]
    examples = [
        found if isinstance(found, Example) else Example([], found.n_tokens, 0, 0, [])
        for found in encode([pair for *_, pair in pairs], tokenizer, max_length, shuffled)
    ]
    return {
        "record": [record for record, _, _ in pairs],
        "task": [number for _, number, _ in pairs],
        "length": [len(example.token_ids) for example in examples],
        **{name: [getattr(found, name) for found in examples] for name in Example._fields},
    }


class TokenStore:
    """The examples of a token file, by index; picklable: loader processes share the file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        table = read_arrow(path)
        self.record, self.task = table["record"].to_numpy(), table["task"].to_numpy()
        self.length, self.n_prompt = table["length"].to_numpy(), table["n_prompt"].to_numpy()
        self.n_bytes, self.n_cut = table["n_bytes"].to_numpy(), table["n_cut"].to_numpy()
        self._ids = _Ragged(table["token_ids"])
        self._items = _Ragged(table["items"])

    def __reduce__(self) -> tuple[Callable[[Path], TokenStore], tuple[Path]]:
        return TokenStore, (self.path,)

    def __len__(self) -> int:
        return len(self.task)

    def token_ids(self, example: int) -> Int32[np.ndarray, " L"]:
        """The example's ids, a view into the file."""
        return self._ids[example]

    def items(self, example: int) -> Int32[np.ndarray, "I 2"]:
        """Start and end of each list item that may change places."""
        return self._items[example].reshape(-1, 2)


class _Ragged:
    """A column of lists, read without a copy."""

    def __init__(self, column: pa.ChunkedArray) -> None:
        chunks = [chunk for chunk in column.chunks if len(chunk)]
        self._first = np.cumsum([0, *map(len, chunks)])
        self._offsets: list[NDArray[np.int32]] = [chunk.offsets.to_numpy() for chunk in chunks]
        self._values: list[NDArray[np.int32]] = [chunk.values.to_numpy() for chunk in chunks]

    def __getitem__(self, index: int) -> NDArray[np.int32]:
        chunk = int(np.searchsorted(self._first, index, side="right")) - 1
        start, end = self._offsets[chunk][index - self._first[chunk] :][:2]
        return self._values[chunk][start:end]


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
