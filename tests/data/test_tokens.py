"""Laws of examples: the prompt whole, the end taught where the answer ends, text never special."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from careergpt.data.tasks import (
    DEFAULT_TASKS,
    Piece,
    PromptCompletion,
    Task,
    prompt_completion,
    render_prompt,
)
from careergpt.data.tokens import (
    Example,
    PromptTooLong,
    encode,
    encode_prompts,
    encode_texts,
    load_tokenizer,
)
from careergpt.errors import InputError

END = "<|endoftext|>"
FIELDS = {
    "position_title": "Nurse",
    "job_description": "You care for patients, day and night, and write it all down.",
    "skills": ("triage", "C++", "wound care"),
    "titles": ("Aide", "Nurse", "Head nurse"),
}
ANY = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def asked(prompt: str, completion: str) -> PromptCompletion:
    return PromptCompletion("mine", (Piece(prompt, None),), (Piece(completion, None),))


def example(tokenizer, pair: PromptCompletion, max_length: int = 1000, *shuffled: str) -> Example:
    (found,) = encode([pair], tokenizer, max_length, frozenset(shuffled))
    assert isinstance(found, Example)
    return found


@given(st.text(min_size=1, max_size=40), st.text(min_size=1, max_size=40))
@ANY
def test_a_whole_example_is_prompt_completion_and_end_of_text(tokenizer, prompt, answer) -> None:
    found = example(tokenizer, asked(prompt, answer))
    assert found.token_ids[-1] == tokenizer.eos_token_id
    assert tokenizer.decode(found.token_ids[: found.n_prompt]) == prompt
    assert tokenizer.decode(found.token_ids[found.n_prompt : -1]) == answer
    assert found.n_bytes == len(answer.encode())
    assert found.n_cut == 0


@given(st.integers(1, 40))
@ANY
def test_the_prompt_stays_whole_and_the_completion_is_cut(tokenizer, max_length: int) -> None:
    pair = asked("Tell me about it:", " Patients first, always, on every ward.")
    whole = example(tokenizer, pair)
    (found,) = encode([pair], tokenizer, max_length)
    if max_length <= whole.n_prompt:
        assert found == PromptTooLong(whole.n_prompt)
        return
    assert isinstance(found, Example)
    assert found.n_prompt == whole.n_prompt
    assert found.token_ids == whole.token_ids[:max_length]
    assert found.n_cut == max(len(whole.token_ids) - max_length, 0)
    taught = found.token_ids[-1] == tokenizer.eos_token_id
    assert taught == (found.n_cut == 0)
    scored = [i for i in found.token_ids[found.n_prompt :] if i != tokenizer.eos_token_id]
    assert found.n_bytes == len(tokenizer.decode(scored).encode())


def test_a_completion_that_just_fails_to_fit_teaches_no_end(tokenizer) -> None:
    pair = asked("Job:", " Nurse in the night")
    whole = example(tokenizer, pair)
    length = len(whole.token_ids)
    assert example(tokenizer, pair, length) == whole
    assert example(tokenizer, pair, length - 1).token_ids == whole.token_ids[:-1]


@pytest.mark.parametrize("text", [END, f"a {END} b", f"{END}{END}", f" {END}"])
def test_text_never_becomes_the_special_token(tokenizer, text: str) -> None:
    found = example(tokenizer, asked(text, text))
    assert tokenizer.eos_token_id not in found.token_ids[:-1]
    assert tokenizer.decode(found.token_ids[found.n_prompt : -1]) == text
    (prompt,) = encode_prompts(tokenizer, [(Piece(text, None),)])
    assert prompt == found.token_ids[: found.n_prompt]


@pytest.mark.parametrize("name", list(DEFAULT_TASKS))
def test_a_prompt_has_the_tokens_at_prediction_that_it_had_in_training(tokenizer, name) -> None:
    task = DEFAULT_TASKS[name]
    pair, prompt = prompt_completion(name, task, FIELDS), render_prompt(task, FIELDS)
    assert pair is not None
    assert prompt is not None
    found = example(tokenizer, pair, 1000, "skills")
    assert encode_prompts(tokenizer, [prompt]) == [found.token_ids[: found.n_prompt]]


def test_a_prompt_typed_as_one_text_has_the_same_tokens(tokenizer) -> None:
    for name in ("describe", "skills", "path"):
        pair = prompt_completion(name, DEFAULT_TASKS[name], FIELDS)
        assert pair is not None
        typed = (Piece("".join(piece.text for piece in pair.prompt), None),)
        found = example(tokenizer, pair)
        assert encode_prompts(tokenizer, [typed]) == [found.token_ids[: found.n_prompt]]


def test_an_empty_prompt_is_the_end_of_text(tokenizer) -> None:
    pair = prompt_completion("free", Task("", "{job_description}"), FIELDS)
    assert pair is not None
    found = example(tokenizer, pair)
    assert encode_prompts(tokenizer, [()]) == [[tokenizer.eos_token_id]]
    assert (found.n_prompt, found.token_ids[0]) == (1, tokenizer.eos_token_id)


def test_a_tokenizer_that_begins_texts_begins_each_prompt_once(tokenizer) -> None:
    from tokenizers.processors import TemplateProcessing

    begins = load_tokenizer(tokenizer.name_or_path)
    end = begins.eos_token_id
    begins.backend_tokenizer.post_processor = TemplateProcessing(
        single=f"{END} $0", special_tokens=[(END, end)]
    )
    found, plain = (example(each, asked("Job:", " Nurse")) for each in (begins, tokenizer))
    assert found.token_ids == [end, *plain.token_ids]
    assert found.n_prompt == plain.n_prompt + 1
    assert encode_prompts(begins, [(Piece("Job:", None),)]) == [found.token_ids[: found.n_prompt]]


def test_items_are_marked_where_they_may_change_places(tokenizer) -> None:
    pair = prompt_completion("position", DEFAULT_TASKS["position"], FIELDS)
    assert pair is not None
    found = example(tokenizer, pair, 1000, "skills")
    spans = list(zip(found.items[::2], found.items[1::2], strict=True))
    texts = [tokenizer.decode(found.token_ids[start:end]) for start, end in spans]
    assert texts == [" triage", " C++", " wound care"]
    assert example(tokenizer, pair).items == []


def test_titles_are_never_marked_when_skills_are(tokenizer) -> None:
    pair = prompt_completion("path", DEFAULT_TASKS["path"], FIELDS)
    assert pair is not None
    assert example(tokenizer, pair, 1000, "skills").items == []


def test_a_list_item_that_was_cut_stays_in_place(tokenizer) -> None:
    pair = prompt_completion("skills", DEFAULT_TASKS["skills"], FIELDS)
    assert pair is not None
    whole = example(tokenizer, pair, 1000, "skills")
    for max_length in range(whole.n_prompt + 1, len(whole.token_ids)):
        found = example(tokenizer, pair, max_length, "skills")
        ends = whole.items[1::2]
        assert found.items[1::2] == [end for end in ends if end <= max_length]


def test_a_length_limit_or_padding_in_the_tokenizers_file_changes_nothing(tokenizer) -> None:
    texts = ["We look for a nurse.", "Cook"]
    expected = encode_texts(tokenizer, texts)
    limited = load_tokenizer(tokenizer.name_or_path)
    limited.backend_tokenizer.enable_truncation(2)
    limited.backend_tokenizer.enable_padding(length=30)
    assert encode_texts(limited, texts) == expected
    assert expected == [tokenizer(text).input_ids for text in texts]


def test_no_texts_have_no_tokens(tokenizer) -> None:
    assert encode_texts(tokenizer, []) == []
    assert encode([], tokenizer, 10) == []


def test_a_folder_without_a_tokenizer_is_one_clear_line(tmp_path) -> None:
    with pytest.raises(InputError, match="no tokenizer can be loaded from") as caught:
        load_tokenizer(str(tmp_path))
    assert "\n" not in str(caught.value)
