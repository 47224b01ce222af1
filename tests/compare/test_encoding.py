"""The same text for several readers."""

from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerFast

from careergpt.compare.encoding import Alike, Reader, encode_alike
from careergpt.data.tasks import Piece, PromptCompletion, text_of
from careergpt.data.tokens import Example, encode

words = st.lists(st.sampled_from(["ward", "C++,", "naïve", "日本語", "care-plan", "x" * 30]))
lengths = st.integers(12, 40)
any_tokenizer = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


def asked(completion: str, *titles: str) -> list[PromptCompletion]:
    pieces = (Piece(f" {completion}", None),)
    return [PromptCompletion("t", (Piece(f"A {t}?", None),), pieces) for t in titles]


def spelled(tokenizer: PreTrainedTokenizerFast, example: Example) -> str:
    ids = example.token_ids[example.n_prompt :]
    return str(tokenizer.decode(ids, skip_special_tokens=True))


def encoded(pairs: Sequence[PromptCompletion], *readers: Reader) -> Alike | None:
    [found] = encode_alike([pairs], readers)
    return found


def test_one_reader_reads_what_training_reads(tokenizer: PreTrainedTokenizerFast) -> None:
    pairs = asked("wound care on a ward " * 9, "Nurse")
    for length in (20, 300):
        assert encoded(pairs, Reader(tokenizer, length)) == (
            tuple(encode(pairs, tokenizer, length)),
        )


@any_tokenizer
@given(words, lengths)
def test_two_readers_read_one_text(
    tokenizer: PreTrainedTokenizerFast,
    other_tokenizer: PreTrainedTokenizerFast,
    said: list[str],
    length: int,
) -> None:
    pairs = asked(" ".join(["care", *said]), "Nurse", "Welder and rigger")
    readers = [Reader(tokenizer, length), Reader(other_tokenizer, length)]
    found = encoded(pairs, *readers)
    if found is None:
        return
    texts = {
        spelled(reader.tokenizer, example)
        for reader, some in zip(readers, found, strict=True)
        for example in some
    }
    [text] = texts
    whole = text_of(pairs[0].completion)
    assert whole.startswith(text)
    for some in found:
        for example in some:
            assert len(example.token_ids) <= length
            assert example.n_bytes == len(text.encode())
            # A text that was cut does not end here.
            ends = example.token_ids[-1] == tokenizer.eos_token_id
            assert ends == (text == whole) == (not example.n_cut)


def test_a_cut_falls_between_words(
    tokenizer: PreTrainedTokenizerFast, other_tokenizer: PreTrainedTokenizerFast
) -> None:
    pairs = asked("wound care on a busy ward " * 9, "Nurse")
    found = encoded(pairs, Reader(tokenizer, 30), Reader(other_tokenizer, 30))
    assert found is not None
    text = spelled(tokenizer, found[0][0])
    assert set(text.split()) <= {"wound", "care", "on", "a", "busy", "ward"}
    assert 5 < len(text.split()) < 54


def test_questions_of_other_lengths_leave_one_completion(
    tokenizer: PreTrainedTokenizerFast,
) -> None:
    pairs = asked("wound care on a ward " * 9, "Nurse", "Nurse of many wards and more " * 2)
    found = encoded(pairs, Reader(tokenizer, 50))
    assert found is not None
    one, other = (example.token_ids[example.n_prompt :] for example in found[0])
    assert one == other
    assert len(found[0][1].token_ids) == 50


def test_a_question_that_leaves_no_room_is_left_out(tokenizer: PreTrainedTokenizerFast) -> None:
    both = [asked("care", "Nurse"), asked("care", "Nurse " * 30)]
    found = encode_alike(both, [Reader(tokenizer, 20)])
    assert found[0] is not None
    assert found[1] is None


@pytest.mark.parametrize("word", ["x" * 400, "日" * 200])
def test_a_text_without_white_space_that_is_too_long_is_left_out(
    tokenizer: PreTrainedTokenizerFast, other_tokenizer: PreTrainedTokenizerFast, word: str
) -> None:
    pairs = asked(word, "Nurse")
    assert encoded(pairs, Reader(tokenizer, 30), Reader(other_tokenizer, 30)) is None
