"""The scripts that kill, stop and damage: each runs from end to end at its quick size."""

import json
import os
import pty
import sys
from importlib import import_module
from pathlib import Path

import pytest

from tests import processes

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def test_kills_and_signals_lose_nothing_at_the_quick_size(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    monkeypatch.setattr(import_module("small_runs"), "start", forked)
    monkeypatch.setattr(sys, "argv", ["chaos.py", "--quick", "--json", str(tmp_path / "found")])
    with pytest.raises(SystemExit) as left:
        import_module("chaos").main()
    assert not left.value.code, capsys.readouterr().out
    found = json.loads((tmp_path / "found").read_text())
    assert [row["kills"] for row in found["resumed"]] == [1]
    assert [row["verb"] for row in found["stopped"]] == ["audit", "fit", "recommend"]


def test_a_command_that_is_disturbed_leads_a_session_at_its_own_terminal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    start = import_module("small_runs").start
    for started in (start, forked):
        terminal, inside = pty.openpty()
        process = started(["--help"], stdin=inside, stdout=inside, stderr=inside)
        os.close(inside)
        assert os.tcgetpgrp(terminal) == process.pid
        assert b"usage" in os.read(terminal, 1 << 16)
        assert process.wait(timeout=60) == 0
        os.close(terminal)


def forked(words, environment=None, **options):
    """As `small_runs.start`, without its imports."""
    known = {"PYTHONPATH": str(BENCHMARKS), **(environment or {})}
    return processes.start(words, known, start_new_session=True, **options)


def test_no_damage_and_no_full_disk_loses_anything_at_the_quick_size(tmp_path: Path) -> None:
    found = tmp_path / "found.json"
    script = BENCHMARKS / "damage.py"
    done = processes.run(["--quick", "--json", str(found)], script=script, cwd=tmp_path)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert json.loads(found.read_text())
