"""Help begins with what most need, all of it can be had, and a typo is answered."""

import re
from pathlib import Path

import pytest

from careergpt.cli import VERBS, main
from careergpt.cli.help import COMMON, EXAMPLES


def said(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit):
        main(words)
    out, error = capsys.readouterr()
    return out + error


def options(text: str) -> list[str]:
    """Without those that show a class, as `--trainer.logger.help`."""
    return re.findall(r"^  (?:-\w.*?, )?--([\w.]+)", text, re.MULTILINE)


@pytest.mark.parametrize("verb", VERBS)
def test_help_shows_the_common_options_first_and_all_where_asked(
    verb: str, capsys: pytest.CaptureFixture[str]
) -> None:
    short, whole = (said([verb, "--help", *more], capsys) for more in ([], ["all"]))
    shown, known = options(short), options(whole)
    assert set(shown) == {*COMMON.get(verb, known), "help"}
    assert set(shown) <= set(known)
    assert len(short.splitlines()) <= 150
    assert "not used" not in whole
    own = [name for name in known if not name.startswith("trainer.")]
    assert known[: len(own)] == own
    for example in EXAMPLES[verb]:
        assert f"main.py {verb} {example}" in short
        for name in re.findall(r"--([\w.]+)", example):
            assert name in known or name.startswith("data.columns.")
    assert len(EXAMPLES[verb]) == 3


def test_help_shows_the_options_that_have_a_word_in_their_names(
    capsys: pytest.CaptureFixture[str],
) -> None:
    shown = options(said(["fit", "--help", "fraction"], capsys))
    assert shown == ["data.val_fraction", "data.test_fraction"]


TYPOS = {
    "a letter": (["recommend", "--skill=sql"], "did you mean --skills?"),
    "other words": (["fit", "--model.learning_rate=1"], "did you mean --model.lr"),
    "no group": (["fit", "--max_epochs=3"], "did you mean --trainer.max_epochs?"),
    "another spelling": (["compare", "--fine-tuned", "x"], "did you mean --finetuned?"),
    "a part": (["audit", "--data.sources=x"], "did you mean --data.source?"),
    "a verb": (["audti"], "did you mean audit?"),
    "nothing like it": (["audit", "--zzzz=x"], "--zzzz=x\n"),
}


@pytest.mark.parametrize("case", TYPOS)
def test_an_unknown_option_is_answered_by_the_nearest(
    case: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words, expected = TYPOS[case]
    found = said(words, capsys)
    assert found.count("\n") == 1
    assert expected in found


def test_an_unknown_key_of_a_file_is_answered_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("model:\n  learning_rate: 1.0\n")
    assert "did you mean --model.lr" in said(["fit", f"--config={path}"], capsys)
