"""Laws of the cache: the oldest go until the others fit, and what a process uses stays."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from careergpt.cli import main
from careergpt.data.cache import bytes_of, clean_cache
from careergpt.data.whole_files import read_arrow
from careergpt.errors import InputError


@pytest.fixture
def cache(data_module: Callable, tmp_path: Path) -> list[Path]:
    """The files of two settings, each a day younger than the one before; and what is not ours."""
    for masked in (True, False):
        data_module(mask_contacts=masked).open()
    files = sorted((tmp_path / "cache").iterdir())
    for days, path in enumerate(reversed(files)):
        os.utime(path, (1e9 - 86400 * days, 1e9 - 86400 * days))
    (tmp_path / "cache" / "notes.txt").write_text("mine")
    assert len(files) == 4
    return files


def names(lines: list[str], word: str) -> list[str]:
    return [line.split()[0] for line in lines if word in line]


def test_the_files_are_listed_and_listing_makes_none_younger(cache: list[Path]) -> None:
    folder = cache[0].parent
    told = list(clean_cache(folder))
    assert told == list(clean_cache(folder))
    assert names(told, "MB, used") == [path.name for path in cache]
    assert names(told, " 90 records of careers.jsonl, postings.csv") == [p.name for p in cache[:2]]
    assert names(told, " examples as tokens") == [path.name for path in cache[2:]]
    megabytes = sum(path.stat().st_size for path in cache) / 1e6
    assert told[-1] == f"{megabytes:,.1f} MB are in {folder}"


def test_the_oldest_go_until_the_others_fit(cache: list[Path]) -> None:
    limit = sum(path.stat().st_size for path in cache[2:])
    told = list(clean_cache(cache[0].parent, limit))
    assert [path.exists() for path in cache] == [False, False, True, True]
    assert names(told, "; removed") == [path.name for path in cache[:2]]
    assert (cache[0].parent / "notes.txt").exists()
    assert len(list(clean_cache(cache[0].parent, limit))) == 3


def test_what_is_used_stays_and_what_is_damaged_goes(cache: list[Path]) -> None:
    used = read_arrow(cache[0])["id"]  # A part of the table is enough.
    cache[1].write_bytes(b"")
    told = list(clean_cache(cache[0].parent, 0))
    assert [path.exists() for path in cache] == [True, False, False, False]
    assert names(told, "kept: in use") == [cache[0].name]
    assert names(told, "damaged") == [cache[1].name]
    assert len(used) == 90
    del used
    assert names(list(clean_cache(cache[0].parent, 0)), "; removed") == [cache[0].name]


def test_two_clean_it_at_the_same_time(cache: list[Path]) -> None:
    first = clean_cache(cache[0].parent, 0)
    next(first)
    assert len(names(list(clean_cache(cache[0].parent, 0)), "; removed")) == 3
    assert next(first).endswith("gone; removed")
    assert list(first)[-1].startswith("0.0 MB")


@pytest.mark.parametrize(
    ("size", "expected"),
    [("0B", 0), ("10GB", 10**10), ("1.5 MiB", 3 << 19), ("2kb", 2000), ("1TB", 10**12)],
)
def test_sizes(size: str, expected: int) -> None:
    assert bytes_of(size) == expected


@pytest.mark.parametrize("size", ["10", "-1GB", "", "much", "1XB", "9" * 400 + "GB"])
def test_what_is_no_size_empties_nothing(size: str, cache: list[Path]) -> None:
    with pytest.raises(InputError, match="give a size with its unit"):
        bytes_of(size)
    with pytest.raises(SystemExit, match="2"):
        main(["cache", f"--data.cache={cache[0].parent}", f"--limit={size}"])
    assert all(path.exists() for path in cache)


def test_the_verb_prints_it_and_a_folder_that_is_missing_is_one_line(
    cache: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["cache", f"--data.cache={cache[0].parent}", "--limit=1GB"])
    assert capsys.readouterr().out.count(" used ") == 4
    with pytest.raises(SystemExit, match="2"):
        main(["cache", f"--data.cache={tmp_path / 'none'}"])
    assert "there is no such folder" in capsys.readouterr().err
