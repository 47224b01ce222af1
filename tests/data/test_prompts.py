"""Laws of prompts: each is found in its order, or its line is named."""

import os
from collections.abc import Iterable

import pytest

from careergpt.data.prompts import (
    Question,
    check_lengths,
    prompts_of_records,
    read_prompts,
    ready_prompts,
)
from careergpt.data.tasks import DEFAULT_TASKS, Piece, Task, text_of
from careergpt.errors import InputError


def texts(questions: Iterable[Question]) -> list[str]:
    return [text_of(question.pieces) for question in questions]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("p.txt", "Who?\n\n  What now? \n"),
        ("p.jsonl", '{"prompt": "Who?"}\n\n{"prompt": "What now?", "more": 1}\n'),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_prompts_are_lines_named_by_their_number(tmp_path, name, content, encoding) -> None:
    path = tmp_path / name
    path.write_text(content, encoding=encoding)
    questions = read_prompts(str(path))
    assert texts(questions) == ["Who?", "What now?"]
    assert [question.id for question in questions] == ["1", "3"]


@pytest.mark.parametrize(
    "line", ["no json", "[1]", '{"text": "Who?"}', '{"prompt": 3}', "3", '"x"']
)
def test_a_line_that_is_no_prompt_is_named(tmp_path, line: str) -> None:
    path = tmp_path / "p.jsonl"
    path.write_text('{"prompt": "Who?"}\n' + line)
    with pytest.raises(InputError, match=r"p\.jsonl:2: not .*JSON"):
        read_prompts(str(path))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("p.txt", "\n \n", "p.txt is empty: write one a line"),
        ("p.jsonl", "", "p.jsonl"),
        ("p.txt", None, "p.txt"),
        ("p.md", "Who?", r"read from \.txt"),
    ],
)
def test_a_file_without_prompts_is_one_clear_line(tmp_path, name, content, message) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_text(content)
    with pytest.raises(InputError, match=message) as caught:
        read_prompts(str(path))
    assert "\n" not in str(caught.value)


ROWS = [
    {"id": "a", "position_title": "Nurse", "skills": ["triage"], "titles": None},
    {"id": "b", "position_title": None, "skills": ["arc welding", "rigging"], "titles": None},
    {"id": "c", "position_title": None, "skills": None, "titles": ["Aide", "Nurse"]},
    {"id": "d", "position_title": None, "skills": None, "titles": None},
]


def asked_of(rows: list[dict], tasks: dict[str, Task] = DEFAULT_TASKS) -> list[Question]:
    return list(prompts_of_records(rows, tasks))


def test_a_record_asks_the_first_task_that_it_can() -> None:
    questions = asked_of(ROWS)
    assert [question.id for question in questions] == ["a", "b", "c"]
    assert texts(questions) == [
        "Tell me about the qualifications required for a Nurse.",
        "Which position suits someone skilled in arc welding, rigging?",
        "Career path: Aide",
    ]


def test_a_task_of_weight_0_is_not_asked() -> None:
    tasks = {**DEFAULT_TASKS, "describe": Task("{position_title}", "{job_description}", 0)}
    assert texts(asked_of(ROWS, tasks))[0] == "Which position suits someone skilled in triage?"


def asked(*prompts: str) -> list[Question]:
    return [Question(str(n), (Piece(text, None),)) for n, text in enumerate(prompts, start=1)]


def test_prompts_keep_the_order_and_the_text(tokenizer) -> None:
    questions = asked("Who?", "What?", "Where?", "<|endoftext|>", "Why?")
    prompts = ready_prompts(questions, tokenizer)
    assert [prompt.place for prompt in prompts] == [0, 1, 2, 3, 4]
    assert [prompt.id for prompt in prompts] == ["1", "2", "3", "4", "5"]
    for prompt, question in zip(prompts, questions, strict=True):
        assert prompt.text == text_of(question.pieces) == tokenizer.decode(prompt.token_ids)
        assert tokenizer.eos_token_id not in prompt.token_ids


def test_a_prompt_without_room_for_an_answer_is_named(tokenizer) -> None:
    long = "Tell me about the qualifications required for a nurse."
    length = len(tokenizer(long).input_ids)
    prompts = ready_prompts(asked("Who?", long), tokenizer)
    check_lengths(prompts, length + 1)
    with pytest.raises(InputError, match=f"prompt 2 has {length} tokens, and the model reads"):
        check_lengths(prompts, length)


def test_a_pipe_is_refused_and_not_waited_for(tmp_path) -> None:
    os.mkfifo(tmp_path / "p.txt")
    with pytest.raises(InputError, match=r"p\.txt is a device, a pipe or a folder"):
        read_prompts(str(tmp_path / "p.txt"))
