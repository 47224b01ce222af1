"""Laws of the candidates benchmark: realistic titles, and three ways to the same scores."""

from pathlib import Path

import pytest
from transformers import GPT2Config, PreTrainedTokenizerFast


@pytest.fixture(autouse=True)
def _benchmarks_are_importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))


def test_titles_differ_and_fewer_are_the_first_of_more() -> None:
    from candidates import draw_titles

    titles = draw_titles(1000)
    assert len(set(titles)) == 1000
    assert draw_titles(10) == titles[:10]
    assert any(title.startswith("Senior ") for title in titles)


@pytest.mark.parametrize("tokens", [30, 100])
def test_prompts_are_about_as_long_as_asked(
    tokens: int, tokenizer: PreTrainedTokenizerFast
) -> None:
    from candidates import prompt_of

    assert tokens <= len(prompt_of(tokens, tokenizer)) < tokens + 8


def test_the_ways_agree_and_stand_beside_ours(tokenizer: PreTrainedTokenizerFast) -> None:
    from candidates import OURS, compare, draw_titles, models, prompt_of

    from careergpt.data.tokens import encode_texts

    config = GPT2Config(n_layer=2, n_head=2, n_embd=32, n_positions=128, vocab_size=2048)
    titles = encode_texts(tokenizer, [f" {title}" for title in draw_titles(40)])
    theirs, ours = models(config)
    rows = compare(theirs, ours, prompt_of(30, tokenizer), titles, rounds=2, end=0)
    assert [row.name == OURS for row in rows] == [True, False, False]
    assert rows[0].ratio == 1
    assert all(len(row.seconds) == 2 and row.ratio > 0 for row in rows)
    theirs.transformer.ln_f.weight.data *= 2
    with pytest.raises(SystemExit, match=r"transformers, padded.*other scores"):
        compare(theirs, ours, prompt_of(30, tokenizer), titles, rounds=1, end=0)
