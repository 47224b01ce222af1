"""The embedded sample is what its generator and its documentation say it is."""

import csv
import itertools
import json
import re
import subprocess
import sys
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st
from transformers import AutoTokenizer

DATA = Path(__file__).resolve().parents[1] / "data"
FILES = (
    "postings.csv",
    "careers.jsonl",
    "tokenizer/tokenizer.json",
    "tokenizer/tokenizer_config.json",
)
FIELDS: dict[str, Any] = yaml.safe_load((DATA / "positions.yaml").read_text(encoding="utf-8"))
POSITIONS: dict[str, Any] = {
    title: position for field in FIELDS.values() for title, position in field["positions"].items()
}
CANONICAL = {
    name: title for title, known in POSITIONS.items() for name in (title, *known["variants"])
}
TOKENIZER = AutoTokenizer.from_pretrained(DATA / "tokenizer")


def read_postings() -> list[dict[str, str]]:
    """Read the committed postings."""
    with (DATA / "postings.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def read_careers() -> list[list[str]]:
    """Read the committed careers."""
    lines = (DATA / "careers.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line)["titles"] for line in lines]


POSTINGS = read_postings()
CAREERS = read_careers()


def shingles(text: str) -> set[tuple[str, ...]]:
    """Return the runs of five words in a text."""
    words = re.findall(r"\w+", text.lower())
    return set(zip(*(words[start:] for start in range(5)), strict=False))


def generate(out: Path, *options: str) -> None:
    """Run the generator from a folder that is not the project's."""
    command = [sys.executable, str(DATA / "generate.py"), "--out", str(out), *options]
    subprocess.run(command, check=True, cwd=out)


def test_the_generator_reproduces_the_committed_files(tmp_path: Path) -> None:
    """The same seed gives the same bytes, the tokenizer included."""
    generate(tmp_path, "--tokenizer")
    for name in FILES:
        assert (tmp_path / name).read_bytes() == (DATA / name).read_bytes(), name


def test_another_seed_gives_another_sample_of_the_size_asked_for(tmp_path: Path) -> None:
    """The options reach the generator."""
    generate(tmp_path, "--seed", "1", "--postings", "45", "--careers", "7")
    with (tmp_path / "postings.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 45
    assert rows != POSTINGS[:45]
    assert len((tmp_path / "careers.jsonl").read_text(encoding="utf-8").splitlines()) == 7


def test_ten_fields_of_four_positions() -> None:
    """Fields, titles and their variants are as documented, and no title is ambiguous."""
    assert [len(field["positions"]) for field in FIELDS.values()] == [4] * 10
    assert len(CANONICAL) == sum(1 + len(known["variants"]) for known in POSITIONS.values())


@pytest.mark.parametrize(("kind", "least"), [("duties", 8), ("skills", 8), ("qualifications", 5)])
def test_every_position_has_content_of_its_own(kind: str, least: int) -> None:
    """No duty, qualification or skill is listed twice, within a position or across them."""
    assert all(len(known[kind]) >= least for known in POSITIONS.values())
    counts = Counter(item for known in POSITIONS.values() for item in known[kind])
    assert {item for item, count in counts.items() if count > 1} == set()


def test_postings_cover_every_position_with_its_own_skills() -> None:
    """Skills come from the posting's position, four to eight of them, none twice."""
    assert len(POSTINGS) == 1000
    assert {CANONICAL[row["position_title"]] for row in POSTINGS} == POSITIONS.keys()
    for row in POSTINGS:
        skills = row["skills"].split("|")
        assert 4 <= len(set(skills)) == len(skills) <= 8
        assert set(skills) <= set(POSITIONS[CANONICAL[row["position_title"]]]["skills"])


def test_descriptions_are_of_documented_length_and_seldom_name_the_title() -> None:
    """A title named in every description would make it trivial to recover."""
    assert all(80 <= len(row["job_description"].split()) <= 160 for row in POSTINGS)
    named = [row["position_title"].lower() in row["job_description"].lower() for row in POSTINGS]
    assert 0.2 < sum(named) / len(named) < 0.4


def test_no_two_descriptions_of_a_position_are_near_duplicates() -> None:
    """The Jaccard index of five-word shingles stays well under one half."""
    groups: dict[str, list[set[tuple[str, ...]]]] = defaultdict(list)
    for row in POSTINGS:
        groups[CANONICAL[row["position_title"]]].append(shingles(row["job_description"]))
    pairs = [pair for group in groups.values() for pair in itertools.combinations(group, 2)]
    assert max(len(one & other) / len(one | other) for one, other in pairs) < 0.5


@pytest.mark.parametrize("column", ["company_name", "job_description", "skills"])
def test_postings_are_clean(column: str) -> None:
    """No wording is left unchosen, no field unfilled, and nothing looks like contact data."""
    unclean = re.compile(r"[(){}@]|https?:|www\.|\d{3}[-. ]?\d{3,4}")
    values = [row[column] for row in POSTINGS]
    assert [value for value in values if unclean.search(value)] == []
    assert column == "skills" or not any("|" in value for value in values)
    assert all(value and value == value.strip() for value in values)


def test_every_move_in_the_graph_leads_to_a_position() -> None:
    """The graph has no loose ends."""
    assert {target for known in POSITIONS.values() for target in known["next"]} <= POSITIONS.keys()


def test_careers_follow_the_graph_with_little_noise() -> None:
    """About nine moves in ten are edges of the graph."""
    assert len(CAREERS) == 500
    assert all(2 <= len(set(career)) == len(career) <= 6 for career in CAREERS)
    moves = [move for career in CAREERS for move in itertools.pairwise(career)]
    assert {title for move in moves for title in move} == POSITIONS.keys()
    edges = sum(target in POSITIONS[source]["next"] for source, target in moves)
    assert 0.85 <= edges / len(moves) < 1


def test_the_tokenizer_is_small_and_ends_texts_as_gpt2_does() -> None:
    """The end of text is id 0 and the only special token; there is no padding token."""
    assert len(TOKENIZER) == 2048
    assert TOKENIZER.all_special_ids == [TOKENIZER.eos_token_id] == [0]
    assert TOKENIZER.bos_token == TOKENIZER.unk_token == TOKENIZER.eos_token == "<|endoftext|>"
    assert TOKENIZER.pad_token is None


@given(st.text().filter(lambda text: "<|endoftext|>" not in text))
@example("Naïve café 👩🏽‍⚕️ مرحبا \x00\x07\r\n\t  two  spaces , . n't")
def test_the_tokenizer_round_trips_any_text(text: str) -> None:
    """Every byte has a token, so nothing is unknown and nothing is lost."""
    ids = TOKENIZER(text)["input_ids"]
    assert TOKENIZER.unk_token_id not in ids
    assert TOKENIZER.decode(ids) == text


def test_the_sample_is_small() -> None:
    """The sample travels with the project, so it stays under 2.5 MB."""
    files = [path for path in DATA.rglob("*") if path.is_file() and path.suffix != ".pyc"]
    assert sum(path.stat().st_size for path in files) < 2_500_000
