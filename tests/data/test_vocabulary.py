"""Laws of a tokenizer that is trained on the training split."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from careergpt.data.tokens import (
    END_OF_TEXT,
    SMALLEST,
    encode_texts,
    load_tokenizer,
    token_digests,
    train_tokenizer,
)
from careergpt.errors import InputError

TEXTS = ["Career path: Nurse > Nurse manager", "Which skills does a Nurse need? triage, care"] * 9


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("tokenizer")
    train_tokenizer(TEXTS, 300, folder)
    return load_tokenizer(str(folder))


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=60))
def test_any_text_comes_back_whole(trained, text: str) -> None:
    ids = encode_texts(trained, [text])[0]
    assert trained.decode(ids) == text


def test_what_training_repeats_is_one_token(trained) -> None:
    assert len(encode_texts(trained, [" Nurse"])[0]) == 1
    assert len(encode_texts(trained, [" zebra"])[0]) > 1


def test_the_end_of_text_is_a_token_that_no_text_becomes(trained) -> None:
    assert trained.convert_tokens_to_ids(END_OF_TEXT) == trained.eos_token_id
    assert trained.eos_token_id not in encode_texts(trained, [f"Nurse {END_OF_TEXT}"])[0]


def test_the_same_texts_give_the_same_file(tmp_path: Path) -> None:
    for name in ("one", "other"):
        train_tokenizer(iter(TEXTS), 300, tmp_path / name)
    files = [(tmp_path / name / "tokenizer.json").read_bytes() for name in ("one", "other")]
    assert files[0] == files[1]


def test_fewer_tokens_than_bytes_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"{SMALLEST} or more, found 256"):
        train_tokenizer(TEXTS, 256, tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_what_tokens_mean_is_named_alike_however_the_file_is_written(
    trained, tmp_path: Path
) -> None:
    told = token_digests(trained)
    trained.save_pretrained(tmp_path)
    assert token_digests(load_tokenizer(str(tmp_path))) == told
    # Earlier versions wrote merges as texts.
    content = json.loads((tmp_path / "tokenizer.json").read_text())
    content["model"]["merges"] = [" ".join(pair) for pair in content["model"]["merges"]]
    (tmp_path / "tokenizer.json").write_text(json.dumps(content))
    assert token_digests(load_tokenizer(str(tmp_path))) == told
