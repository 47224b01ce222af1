"""Memory that a step frees is there for the next one."""

import ctypes
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from careergpt.modeling import loaded
from tests.processes import run

# Counts the pages that are touched for the first time, in a process of its own.
COUNT = """
import resource, torch
if {keep}:
    from careergpt.modeling.loaded import keep_freed_memory
    assert keep_freed_memory()
def faults(number):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(2**24 - 4096 * number)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
first, *others = [faults(number) for number in range(4)]
print(first, max(others))
"""


def has_glibc() -> bool:
    return sys.platform == "linux" and hasattr(ctypes.CDLL(None), "gnu_get_libc_version")


@pytest.mark.skipif(not has_glibc(), reason="glibc alone is told so")
def test_a_freed_tensor_s_pages_are_not_touched_anew(tmp_path: Path) -> None:
    def counted(keep: bool) -> list[int]:
        script = tmp_path / "count.py"
        script.write_text(COUNT.format(keep=keep))
        done = run([], script=script)
        assert done.returncode == 0, done.stderr[-2000:]
        return [int(number) for number in done.stdout.split()]

    first, later = counted(keep=True)
    assert later < first / 20
    first, later = counted(keep=False)
    assert later > first / 2  # Else the test above shows nothing.


def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda _: SimpleNamespace())
    assert not loaded.keep_freed_memory()
