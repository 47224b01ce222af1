"""Laws of the output: it ends no work, whatever its letters, and who reads it or does not."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.processes import run

ROOT = Path(__file__).parents[2]

PROGRAM = """
import sys
from careergpt.cli import check_output, is_read, mend_output
mend_output()
for line in range(3):
    print("naïve 求人", line)
    print("naïve 求人", line, file=sys.stderr)
open(sys.argv[1], "w").write(str(is_read()))
check_output()
"""


def start(output: int, done: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, str(done)], stdout=output, stderr=subprocess.PIPE,
        text=True, errors="replace", env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
    )  # fmt: skip


def closed_pipe() -> int:
    reader, writer = os.pipe()
    os.close(reader)
    return writer


def test_work_goes_on_where_nobody_reads(tmp_path: Path) -> None:
    found = start(closed_pipe(), tmp_path / "done")
    assert (found.returncode, (tmp_path / "done").read_text()) == (0, "False")
    assert len(found.stderr.splitlines()) == 3


@pytest.mark.parametrize("encoding", ["ascii", "ascii:strict", "latin-1"])
def test_letters_that_an_encoding_lacks_are_shown_by_number(tmp_path: Path, encoding: str) -> None:
    found = start(subprocess.PIPE, tmp_path / "done", PYTHONIOENCODING=encoding)
    assert (found.returncode, (tmp_path / "done").read_text()) == (0, "True")
    assert r"\u6c42\u4eba" in found.stdout


def test_output_that_is_lost_is_told_when_the_work_is_done(tmp_path: Path) -> None:
    with open("/dev/full", "w") as full:
        found = start(full.fileno(), tmp_path / "done")
    assert (tmp_path / "done").exists()
    last = found.stderr.splitlines()[-1]
    assert last.endswith("not all that was to be printed could be written: No space left on device")


CLOSED = """
import os, sys
from careergpt.cli import check_output, mend_output
mend_output()
with open(sys.argv[1], "w") as file:
    file.write("whole")
    file.flush()
    print("told")
    print("told", file=sys.stderr)
    os.write(1, b"by a library")
    os.write(2, b"by a library")
check_output()
"""


def test_no_file_takes_the_place_of_a_stream_that_is_closed(tmp_path: Path) -> None:
    words = [sys.executable, "-c", CLOSED, str(tmp_path / "file")]
    done = subprocess.run(
        ["sh", "-c", '"$@" >&- 2>&-', "sh", *words], env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    assert (done.returncode, (tmp_path / "file").read_text()) == (0, "whole")


def test_a_model_is_whole_though_nobody_reads_and_the_terminal_is_ascii(
    brief: list[str], tmp_path: Path
) -> None:
    words = ["fit", *brief, "--samples.prompts=['Qui êtes-vous?']"]
    output = closed_pipe()
    done = run(
        [*words, "--trainer.default_root_dir=run"], {"PYTHONIOENCODING": "ascii"},
        stdout=output, stderr=output, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0
    card = (tmp_path / "run" / "model" / "README.md").read_text(encoding="utf-8")
    assert "Qui êtes-vous?" in card
