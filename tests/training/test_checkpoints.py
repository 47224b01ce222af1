"""Laws of checkpoint files: whole or not there, and damage shows."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from careergpt.data.whole_files import find_damage
from careergpt.errors import InputError
from careergpt.training.checkpoints import WholeCheckpoints, read_checkpoint

FILES = WholeCheckpoints()


def content(size: int) -> dict[str, Any]:
    return {"state_dict": {"weight": torch.arange(size)}, "step": size}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("written") / "state.ckpt"
    FILES.save_checkpoint(content(50), path)
    return path.read_bytes()


def test_what_was_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "state ü.ckpt"
    FILES.save_checkpoint(content(100), path)
    assert find_damage(path) is None
    read = FILES.load_checkpoint(path)
    assert torch.equal(read["state_dict"]["weight"], torch.arange(100))
    assert os.listdir(path.parent) == [path.name]


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_any_flipped_bit_and_any_cut_shows(
    written: bytes, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("damaged") / "state.ckpt"
    bit = data.draw(st.integers(0, 8 * len(written) - 1))
    flipped = bytearray(written)
    flipped[bit // 8] ^= 1 << bit % 8
    cut = data.draw(st.integers(0, len(written) - 1))
    for damaged in (bytes(flipped), written[:cut], written + b"\0"):
        path.write_bytes(damaged)
        assert find_damage(path)
        with pytest.raises(InputError, match="is damaged"):
            read_checkpoint(path)


def test_junk_and_nothing_are_damaged(tmp_path: Path) -> None:
    path = tmp_path / "state.ckpt"
    path.write_bytes(b"")
    assert find_damage(path) == "empty"
    path.write_bytes(os.urandom(4000))
    assert find_damage(path)
    assert find_damage(tmp_path / "none.ckpt") == "No such file or directory"


def test_a_full_disk_keeps_what_was_there_and_says_what_was_missing(
    tmp_path: Path, full_disk: Callable[[int], None]
) -> None:
    path = tmp_path / "state.ckpt"
    FILES.save_checkpoint(content(100), path)
    full_disk(50_000)
    before = path.read_bytes()
    line = r"cannot write .*state\.ckpt: File too large \(it needs 0\.8 MB"
    with pytest.raises(InputError, match=line):
        FILES.save_checkpoint(content(100_000), path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["state.ckpt"]


def test_a_full_folder_for_temporary_files_is_not_even_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", "/dev/full")
    path = tmp_path / "state.ckpt"
    FILES.save_checkpoint(content(100), path)
    assert find_damage(path) is None


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"cannot write .*: a folder is needed there"):
        FILES.save_checkpoint(content(10), tmp_path / "file" / "state.ckpt")
