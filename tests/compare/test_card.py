"""Laws of the summary: foreign text is text in Markdown too, and a card keeps what is not ours."""

import os
import re
from dataclasses import replace
from pathlib import Path

import pytest

from careergpt.compare.comparison import Comparison
from careergpt.compare.figures import as_perplexity
from careergpt.compare.report import add_to_card, card_text, code, marks, plain
from careergpt.compare.statistics import Interval

START_MARK, END_MARK = marks("comparison")
HOSTILE = (
    "a | b `c` <script>x</script>\n# d\r\n\n| e |\n<!-- /comparison --> *f* [g](h) \\| &lt; _i_"
)


def cells(row: str) -> list[str]:
    """Cells of a Markdown row: a bar counts unless it is escaped."""
    return re.split(r"(?<!\\)\|", row)[1:-1]


def table(text: str) -> list[list[str]]:
    return [cells(line) for line in text.splitlines() if line.startswith("|")]


def test_the_summary_says_all_parts(comparison: Comparison) -> None:
    text = card_text(comparison)
    parts = [comparison.plain_words, *comparison.verdict, *comparison.notes]
    parts += [comparison.command, comparison.data.source]
    assert all(part in text for part in parts)
    assert text.index(comparison.verdict[0]) < text.index("|")
    assert len(table(text)) == len(comparison.findings) + 2
    assert f"perplexity {as_perplexity(comparison.findings[0].baseline)}" in text


def test_foreign_text_breaks_no_cell_and_makes_no_tag(comparison: Comparison) -> None:
    findings = tuple(
        f._replace(task=HOSTILE, model=HOSTILE, metric=f.metric._replace(label=HOSTILE))
        for f in comparison.findings
    )
    model = comparison.models["baseline"]._replace(source=HOSTILE)
    models = dict.fromkeys(("baseline", HOSTILE, f"{HOSTILE} again"), model)
    ranks = {"loss": dict.fromkeys(models, Interval(1, 1, 3))}
    data = comparison.data._replace(source=HOSTILE)
    text = card_text(
        replace(
            comparison, findings=findings, models=models, ranks=ranks, data=data,
            notes=(HOSTILE,), verdict=(HOSTILE, HOSTILE), command=HOSTILE,
            diversity={HOSTILE: dict.fromkeys(models, 0.1)},
        )
    )  # fmt: skip
    assert {len(row) for row in table(text)} == {11}
    assert "<" not in text
    assert START_MARK not in text
    assert END_MARK not in text
    assert not re.search(r"(?<!\\)[`\[]", text)
    assert len([line for line in text.splitlines() if line.startswith("#")]) == 1


def test_different_tokenizers_are_told(comparison: Comparison) -> None:
    assert "tokenizers differ" not in card_text(comparison)
    assert "tokenizers differ" in card_text(replace(comparison, same_tokenizer=False))


def test_empty_parts_leave_no_heading(comparison: Comparison) -> None:
    bare = replace(comparison, findings=(), diversity={}, notes=(), verdict=())
    text = card_text(bare)
    assert "|" not in text
    assert "To know" not in text
    assert "together" not in text
    assert "\n\n\n" not in text


def test_plain_text_is_unchanged() -> None:
    assert plain("Surprise by the real text, 95 % (0.1 to 0.2).") == (
        "Surprise by the real text, 95 % (0.1 to 0.2)."
    )
    assert plain("- a\0") == "\\- a␀"
    assert code("main.py compare --x_y") == "`main.py compare --x_y`"


def test_the_summary_replaces_its_own(tmp_path: Path) -> None:
    card = tmp_path / "README.md"
    card.write_text("---\nlicense: mit\n---\n\n# A model\n\nWords.\n", encoding="utf-8")
    assert add_to_card(tmp_path, "first")
    card.write_text(card.read_text(encoding="utf-8") + "\nMore words.\n", encoding="utf-8")
    assert add_to_card(tmp_path, r"second \1 \g<0>")
    assert card.read_text(encoding="utf-8") == (
        "---\nlicense: mit\n---\n\n# A model\n\nWords.\n\n"
        f"{START_MARK}\nsecond \\1 \\g<0>\n{END_MARK}\n\nMore words.\n"
    )


def test_adding_twice_is_adding_once(tmp_path: Path, comparison: Comparison) -> None:
    add_to_card(tmp_path, card_text(comparison))
    once = (tmp_path / "README.md").read_bytes()
    add_to_card(tmp_path, card_text(comparison))
    assert (tmp_path / "README.md").read_bytes() == once
    assert once.startswith(b"# ")
    assert [p.name for p in tmp_path.iterdir()] == ["README.md"]


def test_a_torn_mark_costs_no_text(tmp_path: Path) -> None:
    card = tmp_path / "README.md"
    card.write_text(f"# A\n{START_MARK}\nnever closed\n\nKeep me.\n", encoding="utf-8")
    assert add_to_card(tmp_path, "one")
    assert add_to_card(tmp_path, "two")
    text = card.read_text(encoding="utf-8")
    assert "Keep me." in text
    assert "never closed" in text
    assert "two" in text
    assert "one" not in text


def test_line_ends_are_kept(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_bytes(b"# A\r\nwords\r\n")
    assert add_to_card(tmp_path, "text")
    assert (tmp_path / "README.md").read_bytes().startswith(b"# A\r\nwords")


def test_what_cannot_be_written_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not add_to_card(tmp_path / "openai-community" / "gpt2", "text")
    assert list(tmp_path.iterdir()) == []
    card = tmp_path / "README.md"
    card.write_bytes(b"caf\xe9")
    assert not add_to_card(tmp_path, "text")
    card.write_bytes(b"# A")

    def refuses(*_: object) -> None:
        raise PermissionError("read-only")

    monkeypatch.setattr(os, "replace", refuses)
    assert not add_to_card(tmp_path, "text")
    assert card.read_bytes() == b"# A"
    assert list(tmp_path.iterdir()) == [card]
