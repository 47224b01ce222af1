"""Prompts to answer: from a text file, a JSON Lines file, or the records of a table."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa

from careergpt.data.encodings import detect_encoding, open_text
from careergpt.data.foreign_files import object_once
from careergpt.data.packed import reading
from careergpt.data.record_file import fields_of_row
from careergpt.data.store import rows_of
from careergpt.data.tasks import Piece, Task, render_prompt, text_of
from careergpt.data.text_rows import BrokenRowError, RowLines
from careergpt.data.tokens import encode_prompts
from careergpt.errors import InputError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

DEFAULT_PROMPTS = [
    "Tell me about the qualifications required for a Data scientist.",
    "Tell me about the qualifications required for a Registered nurse.",
    "Tell me about the qualifications required for a Truck driver.",
]


HALF_CHARACTER = re.compile("[\ud800-\udfff]")
"""What JSON can write and UTF-8, and so the tokenizer, cannot."""


class Question(NamedTuple):
    """A prompt as text, in the pieces that its tokens are made from."""

    id: str
    pieces: tuple[Piece, ...]


class Prompt(NamedTuple):
    """A prompt ready to be answered.

    Attributes:
        place: Its place in the input, from 0.
        id: The record's id, or the prompt's line in its file.
        text: The prompt as the answer's reader sees it.
        token_ids: (L,) what the model reads.
    """

    place: int
    id: str
    text: str
    token_ids: tuple[int, ...]


def read_prompts(path: str) -> list[Question]:
    """The prompts of a text file, one a line, or of a JSON Lines file, each line's "prompt".

    Raises:
        InputError: The file is missing, empty, of another kind, or has a line that is no prompt.
    """
    if not path.endswith((".txt", ".jsonl")):
        raise InputError(f"{path}: prompts are read from .txt (one a line) or .jsonl")
    numbered = read_lines(path)
    if path.endswith(".jsonl"):
        numbered = [(number, _json_prompt(line, f"{path}:{number}")) for number, line in numbered]
    return [Question(str(number), (Piece(prompt, None),)) for number, prompt in numbered]


def read_lines(path: str) -> list[tuple[int, str]]:
    """The lines of a text file that hold something, and their numbers from 1.

    Raises:
        InputError: The file is missing or unreadable, a line is endless, or none holds anything.
    """
    numbered = []
    with reading(path):
        encoding = detect_encoding(path) if os.path.getsize(path) else "utf-8"
    with open_text(path, encoding) as file:
        lines = RowLines(file, path)
        try:
            for line in lines:
                if lines.is_damaged:
                    raise BrokenRowError(f"a byte that is not {encoding}")
                if line.strip():
                    numbered.append((lines.line, line.strip()))
                lines.begin_row()
        except BrokenRowError as error:
            raise InputError(f"{path}:{lines.line}: {error}. Mend or remove it") from error
    if not numbered:
        raise InputError(f"{path} is empty: write one a line")
    return numbered


def _json_prompt(line: str, place: str) -> str:
    try:
        prompt = json.loads(line, object_pairs_hook=object_once)["prompt"]
    except (ValueError, KeyError, TypeError, RecursionError):
        prompt = None
    if not isinstance(prompt, str):
        raise InputError(f'{place} is not a JSON object with one "prompt" text')
    if HALF_CHARACTER.search(prompt):
        raise InputError(
            f"{place}: the prompt holds half a character, a lone surrogate. Write it anew as UTF-8"
        )
    return prompt


def prompts_of_records(
    table: pa.Table, chosen: np.ndarray, tasks: Mapping[str, Task]
) -> Iterator[Question]:
    """For each chosen record the prompt of the first task whose prompt it can fill."""
    for row, wanted in zip(rows_of(table), chosen, strict=True):
        if wanted:
            fields = fields_of_row(row)
            rendered = (render_prompt(task, fields) for task in tasks.values() if task.weight > 0)
            pieces = next(filter(None, rendered), None)
            if pieces:
                yield Question(row["id"], pieces)


def ready_prompts(
    questions: Sequence[Question], tokenizer: PreTrainedTokenizerFast
) -> list[Prompt]:
    """The questions as token ids, in order."""
    encoded = encode_prompts(tokenizer, [question.pieces for question in questions])
    return [
        Prompt(place, question.id, text_of(question.pieces), tuple(ids))
        for place, (question, ids) in enumerate(zip(questions, encoded, strict=True))
    ]


def check_lengths(prompts: Sequence[Prompt], context: int) -> None:
    """Raises InputError for a prompt that leaves no room for an answer in the context."""
    for prompt in prompts:
        if len(prompt.token_ids) >= context:
            raise InputError(
                f"prompt {prompt.id} has {len(prompt.token_ids)} tokens, and the model reads "
                f"{context} with its answer: shorten it ({prompt.text[:40]!r}…)"
            )
