"""Test instances: the same text for several models, and titles that change places."""

from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerFast

from careergpt.compare.unseen import encode_together
from careergpt.data.tasks import Piece, PromptCompletion, text_of
from careergpt.data.tokens import Example, encode

words = st.lists(st.sampled_from(["ward", "C++,", "naïve", "日本語", "care-plan", "x" * 30]))
lengths = st.integers(12, 40)
any_tokenizer = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


def prompts(completion: str, *titles: str) -> list[PromptCompletion]:
    pieces = (Piece(f" {completion}", None),)
    return [PromptCompletion("t", (Piece(f"A {t}?", None),), pieces) for t in titles]


def spelled(tokenizer: PreTrainedTokenizerFast, example: Example) -> str:
    ids = example.token_ids[example.n_prompt :]
    return str(tokenizer.decode(ids, skip_special_tokens=True))


def encoded(
    pairs: Sequence[PromptCompletion], length: int, *tokenizers: PreTrainedTokenizerFast
) -> list[dict[str, Example]] | None:
    """By prompt; the models are called by their numbers."""
    named = {str(number): tokenizer for number, tokenizer in enumerate(tokenizers)}
    [found] = encode_together([pairs], named, length)
    return found


def test_one_model_reads_what_training_reads(tokenizer: PreTrainedTokenizerFast) -> None:
    pairs = prompts("wound care on a ward " * 9, "Nurse")
    for length in (20, 300):
        assert encoded(pairs, length, tokenizer) == [{"0": encode(pairs, tokenizer, length)[0]}]


def test_models_of_one_tokenizer_read_the_same_tokens_however_many_there_are(
    tokenizer: PreTrainedTokenizerFast,
) -> None:
    [example] = encoded(prompts("wound care", "Nurse"), 20, tokenizer, tokenizer, tokenizer) or []
    assert example["0"] == example["1"] == example["2"]


@any_tokenizer
@given(words, lengths)
def test_models_of_two_tokenizers_read_one_text(
    tokenizer: PreTrainedTokenizerFast,
    other_tokenizer: PreTrainedTokenizerFast,
    said: list[str],
    length: int,
) -> None:
    pairs = prompts(" ".join(["care", *said]), "Nurse", "Welder and rigger")
    found = encoded(pairs, length, tokenizer, other_tokenizer)
    if found is None:
        return
    texts = {spelled(tokenizer, by_model["0"]) for by_model in found}
    texts |= {spelled(other_tokenizer, by_model["1"]) for by_model in found}
    [text] = texts
    whole = text_of(pairs[0].completion)
    assert whole.startswith(text)
    for by_model in found:
        for example in by_model.values():
            assert len(example.token_ids) <= length
            assert example.n_bytes == len(text.encode())
            # A text that was cut does not end here.
            ends = example.token_ids[-1] == tokenizer.eos_token_id
            assert ends == (text == whole) == (not example.n_cut)


def test_a_cut_falls_between_words(
    tokenizer: PreTrainedTokenizerFast, other_tokenizer: PreTrainedTokenizerFast
) -> None:
    pairs = prompts("wound care on a busy ward " * 9, "Nurse")
    found = encoded(pairs, 30, tokenizer, other_tokenizer)
    assert found is not None
    text = spelled(tokenizer, found[0]["0"])
    assert set(text.split()) <= {"wound", "care", "on", "a", "busy", "ward"}
    assert 5 < len(text.split()) < 54


def test_prompts_of_other_lengths_leave_one_completion(
    tokenizer: PreTrainedTokenizerFast,
) -> None:
    pairs = prompts("wound care on a ward " * 9, "Nurse", "Nurse of many wards and more " * 2)
    found = encoded(pairs, 50, tokenizer)
    assert found is not None
    one, other = (by_model["0"] for by_model in found)
    assert one.token_ids[one.n_prompt :] == other.token_ids[other.n_prompt :]
    assert len(other.token_ids) == 50


def test_a_prompt_that_leaves_no_room_is_left_out(tokenizer: PreTrainedTokenizerFast) -> None:
    both = [prompts("care", "Nurse"), prompts("care", "Nurse " * 30)]
    found = encode_together(both, {"model": tokenizer}, 20)
    assert found[0] is not None
    assert found[1] is None


@pytest.mark.parametrize("word", ["x" * 400, "日" * 200])
def test_a_text_without_white_space_that_is_too_long_is_left_out(
    tokenizer: PreTrainedTokenizerFast, other_tokenizer: PreTrainedTokenizerFast, word: str
) -> None:
    assert encoded(prompts(word, "Nurse"), 30, tokenizer, other_tokenizer) is None
