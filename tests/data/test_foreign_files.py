"""What of a file from elsewhere is not read: devices, what has no end, what JSON leaves open."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from careergpt.data.foreign_files import DEEPEST, LARGEST, read_json
from careergpt.data.tokens import load_tokenizer
from careergpt.errors import InputError

NO_FILES: dict[str, Callable[[Path], Any]] = {
    "endless": lambda path: path.symlink_to("/dev/zero"),
    "pipe": os.mkfifo,
    "folder": Path.mkdir,
}


def deep(levels: int) -> str:
    return "[" * levels + "]" * levels


@pytest.mark.parametrize("kind", NO_FILES)
def test_what_is_no_file_is_not_opened(kind: str, tmp_path: Path) -> None:
    NO_FILES[kind](tmp_path / "tokenizer.json")
    for read in (read_json, lambda path: load_tokenizer(str(path.parent))):
        with pytest.raises(InputError, match=r"tokenizer.json is a device, a pipe or a folder"):
            read(tmp_path / "tokenizer.json")


def test_a_file_beyond_all_bounds_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "merges.txt").open("wb") as file:
        file.truncate(LARGEST + 1)
    (tmp_path / "x.json").symlink_to("merges.txt")
    for read in (read_json, lambda path: load_tokenizer(str(path.parent))):
        with pytest.raises(InputError, match=r"has 67,108,865 bytes, and 67,108,864 are read"):
            read(tmp_path / "x.json")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("{", "property name"),
        (deep(DEEPEST + 1), f"more than {DEEPEST} objects or lists"),
        ('{"a": ' * 30 + "1" + "}" * 30, f"more than {DEEPEST} objects or lists"),
        (deep(100_000), "recursion"),
        ('{"a": {"b": 1, "b": 2}}', "it says 'b' twice"),
        (r'["Nurse \ud83d"]', "surrogates not allowed"),
        ("\udc80", "can't decode"),
        ("9" * 5000, "digits"),
    ],
)
def test_json_that_says_nothing_certain_is_refused_in_one_line(
    content: str, reason: str, tmp_path: Path
) -> None:
    (tmp_path / "x.json").write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(InputError, match=reason) as refused:
        read_json(tmp_path / "x.json")
    assert str(refused.value).startswith(f"{tmp_path / 'x.json'} is not JSON that can be used")
    assert len(str(refused.value)) < 300


def test_all_else_is_read_as_it_is(tmp_path: Path) -> None:
    odd: list[Any] = [{"Nurse 🚑": [1, 2.5, None, True, {}], "": ""}, [], json.loads(deep(DEEPEST))]
    for content in odd:
        (tmp_path / "x.json").write_text(json.dumps(content))
        assert read_json(tmp_path / "x.json") == content


def test_what_is_missing_or_unreadable_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InputError, match=r"x.json cannot be read: No such file"):
        read_json(tmp_path / "x.json")
