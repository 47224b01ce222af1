"""Laws of preparing: the cache is used, and only where it holds; processes change nothing."""

import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from careergpt.data import prepare as preparing
from careergpt.data.prepare import prepare_records, prepare_tokens
from careergpt.data.tasks import DEFAULT_TASKS, Task
from careergpt.data.token_file import TokenStore
from careergpt.data.tokens import load_tokenizer
from careergpt.errors import InputError


def token_file(source, rules, tokenizer, cache: Path, *, workers: int = 1, **asked) -> Path:
    length = asked.pop("max_length", 100)
    shuffled = asked.pop("shuffled", ["skills"])
    made = rules(**asked)
    records = prepare_records(source, made, cache, workers=workers)
    return prepare_tokens(
        records, made, tokenizer, cache, max_length=length, shuffled=shuffled, workers=workers
    )


def ages(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}


@pytest.fixture
def source(tables: Path) -> str:
    return str(tables)


def test_a_second_start_builds_nothing(source, rules, tokenizer, tmp_path, monkeypatch) -> None:
    path = token_file(source, rules, tokenizer, tmp_path / "cache")
    before = ages(tmp_path / "cache")

    def fail(*_: object, **__: object) -> None:
        raise AssertionError("built again")

    monkeypatch.setattr(preparing, "build_records", fail)
    monkeypatch.setattr(preparing, "encode_records", fail)
    monkeypatch.setattr(preparing, "write_arrow", fail)
    assert token_file(source, rules, tokenizer, tmp_path / "cache") == path
    assert ages(tmp_path / "cache") == before


def test_the_cache_holds_only_whole_files(source, rules, tokenizer, tmp_path) -> None:
    path = token_file(source, rules, tokenizer, tmp_path / "cache")
    names = sorted(entry.name.split("-")[0] + entry.suffix for entry in path.parent.iterdir())
    assert names == ["records.arrow", "tokens.arrow"]


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda whole: b"",
    "cut": lambda whole: whole[: len(whole) // 2],
    "flipped": lambda whole: whole[:700] + bytes([whole[700] ^ 4]) + whole[701:],
    "of another day": lambda whole: whole[:-72],
}


@pytest.mark.parametrize("kind", DAMAGE)
@pytest.mark.parametrize("name", ["records", "tokens"])
def test_a_damaged_cache_file_is_named_and_made_anew(
    kind, name, source, rules, tokenizer, tmp_path, capsys
) -> None:
    token_file(source, rules, tokenizer, tmp_path / "cache")
    (path,) = (tmp_path / "cache").glob(f"{name}-*")
    whole = path.read_bytes()
    path.write_bytes(DAMAGE[kind](whole))
    token_file(source, rules, tokenizer, tmp_path / "cache")
    assert path.read_bytes() == whole
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith(f"{path} is damaged (")
    assert line.endswith("): it is made anew")
    token_file(source, rules, tokenizer, tmp_path / "cache")
    assert capsys.readouterr().out == ""


def test_a_cache_that_cannot_be_written_serves_what_it_has(
    source, rules, tokenizer, tmp_path, monkeypatch
) -> None:
    first = token_file(source, rules, tokenizer, tmp_path / "cache")
    before = ages(tmp_path / "cache")
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert token_file(source, rules, tokenizer, tmp_path / "cache") == first
    for missing in ({"max_length": 99}, {"mask_contacts": False}):
        with pytest.raises(InputError, match=r"--data\.cache .* cannot be written"):
            token_file(source, rules, tokenizer, tmp_path / "cache", **missing)
    assert ages(tmp_path / "cache") == before


def test_a_table_that_grows_while_it_is_read_is_filed_under_no_name(
    source, rules, tokenizer, tmp_path, monkeypatch
) -> None:
    table = Path(source) / "careers.jsonl"
    short = table.read_bytes()
    build = preparing.build_records

    def grows(*asked: Any) -> None:
        table.write_bytes(short + b'{"titles": ["Cook", "Chef"]}\n')
        build(*asked)

    with monkeypatch.context() as patch:
        patch.setattr(preparing, "build_records", grows)
        with pytest.raises(InputError, match=r"careers\.jsonl changed while it was read"):
            prepare_records(source, rules(), tmp_path / "cache", workers=1)
    assert list((tmp_path / "cache").iterdir()) == []
    assert prepare_records(source, rules(), tmp_path / "cache", workers=1).counts["read"] == 91
    table.write_bytes(short)
    assert prepare_records(source, rules(), tmp_path / "cache", workers=1).counts["read"] == 90


def test_tables_that_moved_are_the_same_tables(source, rules, tokenizer, tmp_path) -> None:
    first = token_file(source, rules, tokenizer, tmp_path / "cache")
    moved = Path(source).rename(tmp_path / "elsewhere")
    assert token_file(str(moved), rules, tokenizer, tmp_path / "cache") == first


def test_weights_change_no_file(source, rules, tokenizer, tmp_path) -> None:
    other = {name: Task(task.prompt, task.completion, 0.3) for name, task in DEFAULT_TASKS.items()}
    first = token_file(source, rules, tokenizer, tmp_path / "cache")
    assert token_file(source, rules, tokenizer, tmp_path / "cache", tasks=other) == first


@pytest.mark.parametrize(
    "asked",
    [
        {"tasks": {**DEFAULT_TASKS, "describe": Task("{position_title}:", "{job_description}")}},
        {"tasks": dict(reversed(DEFAULT_TASKS.items()))},
        {"columns": {"skills": ["skills", "titles"]}},
        {"mask_contacts": False},
        {"max_length": 99},
        {"shuffled": []},
    ],
)
def test_settings_that_change_tokens_change_the_file(
    source, rules, tokenizer, tmp_path, asked
) -> None:
    first = token_file(source, rules, tokenizer, tmp_path / "cache")
    assert token_file(source, rules, tokenizer, tmp_path / "cache", **asked) != first


def test_one_changed_byte_changes_the_file(source, rules, tokenizer, tmp_path) -> None:
    first = token_file(source, rules, tokenizer, tmp_path / "cache")
    table = Path(source) / "postings.csv"
    age = table.stat()
    table.write_bytes(table.read_bytes().replace(b"nurse", b"nurze", 1))
    os.utime(table, ns=(age.st_atime_ns, age.st_mtime_ns))
    assert token_file(source, rules, tokenizer, tmp_path / "cache") != first


def test_another_tokenizer_changes_the_file(source, rules, tokenizer, tmp_path) -> None:
    first = token_file(source, rules, tokenizer, tmp_path / "cache")
    other = load_tokenizer(tokenizer.name_or_path)
    other.add_tokens(["nurse"])
    assert token_file(source, rules, other, tmp_path / "cache") != first


def many_rows(count: int) -> list[dict[str, str]]:
    chance = random.Random(0)
    texts = [" ".join(chance.choices("abcdefghijkl", k=12)) for _ in range(count)]
    return [
        {"position_title": f"Job {number % 7}", "job_description": text, "skills": "a|b|c"}
        for number, text in enumerate(texts)
    ]


def test_several_processes_write_the_file_of_one(write_table, rules, tokenizer, tmp_path) -> None:
    # More rows than two chunks: only then are processes started.
    source = write_table(many_rows(700))
    one = token_file(source, rules, tokenizer, tmp_path / "one", workers=1)
    three = token_file(source, rules, tokenizer, tmp_path / "three", workers=3)
    assert sorted(ages(one.parent)) == sorted(ages(three.parent))
    for path in one.parent.iterdir():
        assert path.read_bytes() == (three.parent / path.name).read_bytes()
    assert len(TokenStore(one)) == 3 * 700


def test_each_record_gives_an_example_for_each_task_it_serves(
    source, rules, tokenizer, tmp_path
) -> None:
    store = TokenStore(token_file(source, rules, tokenizer, tmp_path / "cache", max_length=1000))
    served: dict[int, list[int]] = {}
    for record, task in zip(store.record.tolist(), store.task.tolist(), strict=True):
        served.setdefault(record, []).append(task)
    assert len(served) == 90
    assert sorted(map(tuple, served.values())) == [(0, 1, 2)] * 60 + [(3,)] * 30


MANY_SKILLS = ", ".join(f"skill number {number}" for number in range(40))


def test_a_prompt_too_long_keeps_its_place_without_tokens(
    write_table, rules, tokenizer, tmp_path
) -> None:
    rows = [
        {"position_title": "Nurse", "job_description": "Care for people.", "skills": "triage"},
        {"position_title": "Cook", "job_description": "Feed people.", "skills": MANY_SKILLS},
    ]
    store = TokenStore(
        token_file(write_table(rows), rules, tokenizer, tmp_path / "cache", max_length=60)
    )
    position = list(DEFAULT_TASKS).index("position")
    lost = (store.task == position) & (store.record == 1)
    assert (store.length == 0).tolist() == lost.tolist()
    assert store.token_ids(int(lost.argmax())).tolist() == []
    assert store.n_prompt[lost].item() > 60


def test_rows_that_are_all_dropped_are_counted_in_one_line(write_table, prepare) -> None:
    rows = [{"position_title": "Nurse", "job_description": text} for text in ("", "n/a", "-1")]
    table = write_table(rows)
    with pytest.raises(
        InputError, match=r"none of the 3 rows can be used \(3 no job_desc"
    ) as caught:
        prepare(table)
    assert "\n" not in str(caught.value)
    # The cache remembers it too.
    with pytest.raises(InputError, match="none of the 3 rows"):
        prepare(table)


def test_counts_are_kept_for_each_table(write_table, prepare) -> None:
    rows = many_rows(5)
    first, second = write_table(rows[:3], "a.csv"), write_table(rows[2:], "b.csv")
    counts = prepare(first, second).counts
    assert [(table["read"], table["kept"]) for table in counts["tables"]] == [(3, 3), (3, 2)]
    assert (counts["read"], counts["kept"]) == (6, 5)
    assert counts["dropped"] == {"exact duplicate": 1}


def test_equal_skill_lists_of_two_companies_are_on_one_side(write_table, prepare) -> None:
    rows = [
        {"company_name": company, "position_title": f"Nurse {title}", "skills": skills}
        for title in range(40)
        for company, skills in (("Ash", f"triage|ward {title}"), ("Elm", f"Ward {title}|Triage"))
    ]
    prepared = prepare(write_table(rows))
    assert len(prepared.rows) == 80
    pairs = zip(prepared.rows[::2], prepared.rows[1::2], strict=True)
    assert all(ash["hash"] == elm["hash"] for ash, elm in pairs)
    assert len({row["hash"] for row in prepared.rows}) == 40
