"""Laws of prompt forms: one frame for training and asking, its special tokens its own alone."""

from pathlib import Path
from typing import get_args

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerFast

from careergpt.data.datamodule import CareerDataModule
from careergpt.data.prompts import Question, ready_prompts
from careergpt.data.splits import TRAIN
from careergpt.data.tasks import (
    DEFAULT_TASKS,
    Piece,
    PromptCompletion,
    PromptForm,
    Task,
    prompt_completion,
    render_prompt,
    text_of,
)
from careergpt.data.tokens import Example, encode, encode_prompts, load_tokenizer, prompt_frame
from careergpt.errors import InputError

FORMS = get_args(PromptForm)
TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content | trim }}"
    "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
BEFORE, AFTER = "<|im_start|>user\n", "<|im_end|>\n<|im_start|>assistant\n"
FIELDS = {
    "position_title": "Nurse",
    "job_description": "You care for patients, day and night.",
    "skills": ("triage", "C++", "wound care"),
    "titles": ("Aide", "Nurse", "Head nurse"),
}


@pytest.fixture(scope="module")
def chat(tokenizer: PreTrainedTokenizerFast) -> PreTrainedTokenizerFast:
    """The sample's tokenizer with the chat template of many instruct models."""
    own = load_tokenizer(tokenizer.name_or_path)
    own.add_special_tokens({"additional_special_tokens": ["<|im_start|>", "<|im_end|>"]})
    own.chat_template = TEMPLATE
    return own


def example(tokenizer: PreTrainedTokenizerFast, pair: PromptCompletion | None) -> Example:
    assert pair is not None
    [found] = encode([pair], tokenizer, 1000, frozenset({"skills"}))
    assert isinstance(found, Example)
    return found


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", list(DEFAULT_TASKS))
def test_a_prompt_has_the_tokens_at_prediction_that_it_had_in_training(
    chat: PreTrainedTokenizerFast, name: str, form: PromptForm
) -> None:
    task = DEFAULT_TASKS[name]
    found = example(chat, prompt_completion(name, task, FIELDS, form))
    shown, prompt = found.token_ids[: found.n_prompt], render_prompt(task, FIELDS)
    assert prompt is not None
    [ready] = ready_prompts([Question("1", prompt)], chat, form)
    assert list(ready.token_ids) == shown
    assert ready.text == text_of(prompt)  # Who reads the answer sees what was asked.
    before, after = {"plain": ("", ""), "newline": ("", "\n"), "chat": (BEFORE, AFTER)}[form]
    assert chat.decode(shown) == before + text_of(prompt) + after


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", list(DEFAULT_TASKS))
def test_a_space_parts_prompt_and_completion_where_nothing_else_does(
    chat: PreTrainedTokenizerFast, name: str, form: PromptForm
) -> None:
    pair = prompt_completion(name, DEFAULT_TASKS[name], FIELDS, form)
    found = example(chat, pair)
    answer = chat.decode(found.token_ids[found.n_prompt : -1])
    assert pair is not None
    assert answer == text_of(pair.completion)
    assert len(answer) - len(answer.lstrip()) == (form == "plain")
    assert found.n_bytes == len(answer.encode())


@pytest.mark.parametrize("name", list(DEFAULT_TASKS))
def test_the_form_newline_is_a_template_that_ends_in_one(
    tokenizer: PreTrainedTokenizerFast, name: str
) -> None:
    task = DEFAULT_TASKS[name]
    ended = Task(task.prompt + "\n", task.completion)
    found = example(tokenizer, prompt_completion(name, task, FIELDS, "newline"))
    assert found == example(tokenizer, prompt_completion(name, ended, FIELDS))


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from([BEFORE, AFTER, "<|endoftext|>", " ", "Nurse"]), max_size=5))
def test_special_tokens_come_from_the_template_alone(
    chat: PreTrainedTokenizerFast, said: list[str]
) -> None:
    text = "".join(said)
    pieces = (Piece(text, None),) if text else ()
    [ids] = encode_prompts(chat, [pieces], "chat")
    special = [id for id in ids if id in chat.all_special_ids]
    names = ["<|im_start|>", "<|im_end|>", "<|im_start|>"]
    assert special == chat.convert_tokens_to_ids(names)
    assert chat.decode(ids) == BEFORE + text + AFTER


def test_a_chat_template_is_read_as_the_tokenizer_itself_reads_it(
    chat: PreTrainedTokenizerFast,
) -> None:
    messages = [{"role": "user", "content": "Job?"}]
    whole = chat.apply_chat_template(messages, add_generation_prompt=True).input_ids
    assert encode_prompts(chat, [(Piece("Job?", None),)], "chat") == [whole]


@pytest.mark.parametrize(
    ("template", "told"),
    [
        (None, "has no chat template; use newline"),
        ("{{ raise_exception('a system turn comes first') }}", "a system turn comes first"),
        ("{% for", "cannot be used"),
        ("no message at all", "shows a message 0 times"),
        ("{{ messages[0].content }}, {{ messages[0].content }}", "shows a message 2 times"),
    ],
)
def test_a_chat_that_cannot_be_had_is_one_line(
    tokenizer: PreTrainedTokenizerFast, template: str | None, told: str
) -> None:
    own = load_tokenizer(tokenizer.name_or_path)
    own.chat_template = template
    with pytest.raises(InputError, match=told) as caught:
        prompt_frame(own, "chat")
    assert "\n" not in str(caught.value)


def test_each_form_has_token_files_of_its_own_and_shares_the_records(
    shared_tables: Path, chat: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    chat.save_pretrained(tmp_path / "tokenizer")
    opened = {
        form: CareerDataModule(
            str(shared_tables), tokenizer=str(tmp_path / "tokenizer"), prompt_form=form,
            cache=str(tmp_path / "cache"), processes=1,
        ).open()
        for form in FORMS
    }  # fmt: skip
    assert len(list((tmp_path / "cache").glob("tokens-*.arrow"))) == len(FORMS)
    assert len(list((tmp_path / "cache").glob("records-*.arrow"))) == 1
    shown = {}
    for form, data in opened.items():
        first = int(data.members(TRAIN)[0])
        ids = data.store.token_ids(first)[: data.store.n_prompt[first]].tolist()
        shown[form] = chat.decode(ids)
    plain = shown["plain"]
    assert shown == {
        "plain": plain, "newline": f"{plain}\n", "chat": f"{BEFORE}{plain}{AFTER}",
    }  # fmt: skip
