"""Laws of the data benchmark: it runs end to end, and its rows are what they are said to be."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from itertools import islice
from pathlib import Path

import pytest

from tests.processes import run

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _benchmarks_are_importable(monkeypatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))


VOCABULARY = [f"word{number}" for number in range(5000)]


def test_the_quick_way_measures_every_stage_and_the_peer(tmp_path) -> None:
    small = ["--quick", "--runs", "1", "--sizes", "40", "80", "--processes", "2"]
    files = ["--json", str(tmp_path / "found.json")]
    if find_spec("matplotlib"):  # An extra: without it there is no picture, and all the rest.
        files += ["--picture", str(tmp_path / "found.png")]
    words = [str(ROOT / "benchmarks" / "data.py"), *small, *files]
    done = run(words, script=Path(__file__).with_name("forked.py"), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "found.json").read_text())
    stages = [row["stage"] for row in found["rows"]]
    assert stages[:2] == ["read", "read and clean"]
    assert stages[-1].startswith("datasets.map")
    assert [row["rows"] for row in found["rows"][:2]] == [40, 40]
    assert all(len(row["seconds"]) == 1 and row["rows_per_s"] > 0 for row in found["rows"])
    assert [size["rows"] for size in found["scaling"]] == [40, 80]
    assert all(f"| {stage} |" in done.stdout for stage in stages)
    assert found["machine"]["cores"] >= 1


def test_more_rows_begin_with_the_same_rows() -> None:
    from generated import postings

    assert list(postings(20, VOCABULARY)) == list(islice(postings(100, VOCABULARY), 20))
    assert list(postings(20, VOCABULARY)) != list(postings(20, VOCABULARY, seed=1))


def test_the_generated_shares_of_duplicates_are_found(write_postings_of) -> None:
    from generated import CHAIN, EXACT, NEAR
    from stages import RULES

    from careergpt.data.prepare import prepare_records

    source, cache = write_postings_of(600)
    counts = prepare_records(source, RULES, cache, workers=1).counts
    assert counts["read"] == 600
    assert counts["dropped"]["exact duplicate"] / 600 == pytest.approx(EXACT, abs=0.04)
    # Each copy with a changed word has its original with it in the group, where that was kept.
    assert CHAIN <= counts["near_duplicates"]["records"] / 600 <= 2 * NEAR + CHAIN + 0.05


@pytest.fixture
def write_postings_of(tmp_path):
    from generated import write_postings

    def _write(count: int) -> tuple[str, Path]:
        write_postings(tmp_path / "postings.csv", count, VOCABULARY)
        return str(tmp_path / "postings.csv"), tmp_path / "cache"

    return _write


def test_a_rate_is_the_median_runs() -> None:
    from data import Row, table

    row = Row("read", 300, [3.0, 1.0, 2.0])
    assert row.rows_per_s == 150
    assert "| read | 300 | 150 | 100 to 300 |" in table([row])


def test_a_child_counts_to_the_memory_of_its_parent() -> None:
    from memory import memory_of

    if not Path("/proc/self/smaps_rollup").exists():
        pytest.skip("needs Linux")
    hold = "held = bytes(range(256)) * 2**17; print('ready', flush=True); input()"
    before = memory_of(os.getpid()).own
    with subprocess.Popen(
        [sys.executable, "-c", hold], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        child.stdout.readline()
        assert memory_of(child.pid).own > 32
        assert memory_of(os.getpid()).own > before + 30
        child.communicate(b"\n")
    assert memory_of(child.pid).own == 0
