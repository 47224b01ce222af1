"""Laws of whole files: there or not there, on a full disk too, and nothing else is left."""

import errno
import os
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from careergpt.data.text_files import read_objects
from careergpt.data.whole_files import (
    adding,
    check_writable,
    sealed,
    temporary,
    whole,
    whole_files,
    write_lines,
)
from careergpt.errors import InputError, system_fault

PACKAGE = Path(__file__).parents[2] / "careergpt"


@contextmanager
def two_files(path: Path) -> Iterator[Path]:
    """The path's file among others that are to be whole together."""
    with whole_files(path.parent) as partial:
        (partial / "a").write_text("new")
        yield partial / path.name


def half(partial: Path, error: type[BaseException]) -> None:
    partial.write_text("half")
    raise error


WRITERS = [whole, sealed, two_files]


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("error", [KeyboardInterrupt, ZeroDivisionError])
def test_an_error_within_leaves_what_was_there_and_nothing_else(
    writer: Callable[[Path], AbstractContextManager[Path]],
    error: type[BaseException],
    tmp_path: Path,
) -> None:
    path = tmp_path / "new" / "b"
    for before in ([], ["b"]):
        with pytest.raises(error), writer(path) as partial:
            half(partial, error)
        assert os.listdir(path.parent) == before
        path.write_text("old")
    assert path.read_text() == "old"


@pytest.mark.parametrize("writer", WRITERS)
def test_a_full_disk_is_one_line_and_leaves_what_was_there(
    writer: Callable[[Path], AbstractContextManager[Path]],
    tmp_path: Path,
    full_disk: Callable[[int], None],
) -> None:
    path = tmp_path / "b"
    path.write_text("old")
    full_disk(5000)
    line = r"^cannot write .*: File too large \([\d,.]+ MB are free\): make room and give the .*"
    with pytest.raises(InputError, match=line) as caught, writer(path) as partial:
        partial.write_bytes(b"x" * 6000)
    assert "\n" not in str(caught.value)
    assert (os.listdir(tmp_path), path.read_text()) == (["b"], "old")


def test_libraries_that_tell_of_the_system_in_words_are_understood(tmp_path: Path) -> None:
    # As tokenizers and safetensors do.
    told = r"cannot write .*: No space left on device"
    with pytest.raises(InputError, match=told), whole(tmp_path / "tokenizer.json"):
        raise RuntimeError("I/O error: No space left on device (os error 28)")
    with pytest.raises(RuntimeError), whole(tmp_path / "tokenizer.json"):
        raise RuntimeError("a fault of the program's own (error 28)")
    assert os.listdir(tmp_path) == []


def test_a_name_as_long_as_the_system_takes_is_written(tmp_path: Path) -> None:
    path = tmp_path / ("ü" * 127 + "x")
    with whole(path) as partial:
        partial.write_text("a")
    assert [found.read_text() for found in tmp_path.iterdir()] == ["a"]
    path = tmp_path / ("x" * 300)
    with pytest.raises(InputError, match="File name too long: shorten it"), whole(path):
        pass


def test_the_next_write_removes_what_a_killed_process_left_and_nothing_that_is_in_use(
    tmp_path: Path,
) -> None:
    left = [tmp_path / f"{name}.{os.getpid()}-0123abcd.partial" for name in ("file", "folder")]
    left[0].touch()
    left[1].mkdir()
    (left[1] / "model.safetensors").touch()
    others = [tmp_path / name for name in ("out.jsonl.rank0.partial", "a.partial", "a.1-2.partial")]
    for other in others:
        other.touch()
    with whole(tmp_path / "in use") as partial, whole_files(tmp_path) as folder:
        assert not any(path.exists() for path in left)
        with whole(tmp_path / "b") as second:
            second.write_text("b")
        assert partial.exists()
        assert folder.exists()
    assert set(tmp_path.iterdir()) == {*others, tmp_path / "b", tmp_path / "in use"}


def test_a_file_that_another_took_for_left_over_before_its_lock_is_made_again(
    tmp_path: Path,
) -> None:
    made = 0

    def make(path: Path) -> None:
        nonlocal made
        made += 1
        path.touch()
        if made == 1:
            with whole(tmp_path / "another's"):
                assert not path.exists()

    with temporary(tmp_path / "own", make) as partial:
        assert partial.exists()
    assert made == 2
    assert {path.name for path in tmp_path.iterdir()} == {"another's"}


def test_a_file_where_a_folder_is_wanted_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    path, told = tmp_path / "file" / "a", r"cannot write .*: a folder is needed there"
    for write in (whole, adding):
        with pytest.raises(InputError, match=told), write(path):
            pass


@pytest.mark.parametrize(
    ("number", "remedy"),
    [
        (errno.ENOSPC, "make room"),
        (errno.EACCES, "change its permissions"),
        (errno.EROFS, "name another place"),
        (errno.ENAMETOOLONG, "shorten it"),
    ],
)
def test_each_refusal_has_the_words_that_cure_it(number: int, remedy: str, tmp_path: Path) -> None:
    told = system_fault(OSError(number, os.strerror(number), str(tmp_path / "a")))
    assert told is not None
    assert told.startswith(f"{tmp_path / 'a'}: {os.strerror(number)}")
    assert remedy in told
    assert ("room" in told) == (number == errno.ENOSPC)


def test_no_other_way_to_write_a_file_is_used() -> None:
    """A file's own name is never opened to be written: `partial` is, or lines are added."""
    writes = re.compile(
        r"write_(text|bytes)\(|\.save_pretrained\(|os\.replace|\.rename\(|"
        r"[ (.]open\([^)]*['\"][wax]b?\+?['\"]"
    )
    found = [
        f"{path.relative_to(PACKAGE)}: {line.strip()}"
        for path in PACKAGE.rglob("*.py")
        for line in path.read_text(encoding="utf-8").splitlines()
        if writes.search(line) and path.name != "whole_files.py" and "partial" not in line
    ]
    assert found == []


def test_a_pipe_or_a_device_keeps_its_name(tmp_path: Path) -> None:
    os.mkfifo(path := tmp_path / "pipe")
    with (
        pytest.raises(InputError, match="is a folder, a pipe or a device; name a file"),
        whole(path) as partial,
    ):
        partial.write_text("new")
    assert path.is_fifo()


def test_lines_of_json_are_read_as_they_were_written(tmp_path: Path) -> None:
    rows = [{"größe": 1, "skills": ["C++", None]}, {"text": "two\nlines\u2028"}, {}]
    write_lines(tmp_path / "new" / "rows.jsonl", rows)
    found = list(read_objects(str(tmp_path / "new" / "rows.jsonl")))
    assert found == [(place, row) for place, row in enumerate(rows, start=1)]


def test_what_could_not_be_written_is_refused_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    check_writable(tmp_path / "new" / "folder", "--out")
    check_writable(tmp_path / "file", "--json", is_file=True)
    for path, is_file, told in [
        (tmp_path / "file", False, "is no folder"),
        (tmp_path / "file" / "x", False, "is no folder"),
        (tmp_path / "file" / "x", True, "is no folder"),
        (tmp_path, True, "is a folder, .*; name a file"),
        (tmp_path / "none" / "x", True, "there is no folder"),
    ]:
        with pytest.raises(InputError, match=f"^--out {path}.*{told}"):
            check_writable(path, "--out", is_file=is_file)
    monkeypatch.setattr(os, "access", lambda *_: False)
    for is_file in (False, True):
        with pytest.raises(InputError, match="cannot be written; name another"):
            check_writable(tmp_path / "a", "--out", is_file=is_file)
    assert os.listdir(tmp_path) == ["file"]
