"""Prompts to answer: from a text file, a JSON Lines file, or the records of a table."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from careergpt.data.records import fields_of_row
from careergpt.data.tasks import Piece, PromptForm, Task, render_prompt, text_of
from careergpt.data.text_files import HALF_CHARACTER, read_lines, read_objects
from careergpt.data.tokens import encode_prompts
from careergpt.errors import InputError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

DEFAULT_TITLES = ("Data scientist", "Registered nurse", "Truck driver")

DEFAULT_PROMPTS = [
    f"Tell me about the qualifications required for a {title}." for title in DEFAULT_TITLES
]


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
    if path.endswith(".txt"):
        numbered = read_lines(path)
    elif path.endswith(".jsonl"):
        objects = read_objects(path)
        numbered = [(number, _prompt_in(row, f"{path}:{number}")) for number, row in objects]
    else:
        raise InputError(f"{path}: prompts are read from .txt (one a line) or .jsonl")
    return [Question(str(number), (Piece(prompt, None),)) for number, prompt in numbered]


def _prompt_in(row: Mapping[str, object], place: str) -> str:
    prompt = row.get("prompt")
    if not isinstance(prompt, str):
        raise InputError(f'{place}: not a JSON object with a "prompt" text. Give it one')
    if HALF_CHARACTER.search(prompt):
        raise InputError(
            f"{place}: the prompt holds half a character, a lone surrogate. Write it anew as UTF-8"
        )
    return prompt


def prompts_of_records(
    rows: Iterable[Mapping[str, object]], tasks: Mapping[str, Task]
) -> Iterator[Question]:
    """For each record the prompt of the first task whose prompt it can fill."""
    for row in rows:
        fields = fields_of_row(row)
        rendered = (render_prompt(task, fields) for task in tasks.values() if task.weight > 0)
        if pieces := next(filter(None, rendered), None):
            yield Question(str(row["id"]), pieces)


def ready_prompts(
    questions: Sequence[Question],
    tokenizer: PreTrainedTokenizerFast,
    form: PromptForm = "plain",
) -> list[Prompt]:
    """The questions as token ids, in order."""
    encoded = encode_prompts(tokenizer, [question.pieces for question in questions], form)
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
