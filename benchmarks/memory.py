"""What a process and its children hold, shared pages counted once (Linux)."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple


class Memory(NamedTuple):
    """MiB of their own, and MiB of files that are mapped: those the system takes back at will."""

    own: float
    mapped: float

    def most(self, other: Memory) -> Memory:
        """The larger of both kinds."""
        return Memory(max(self.own, other.own), max(self.mapped, other.mapped))


def memory_of(process: int) -> Memory:
    """What the process and all below it hold now; one that has just ended holds nothing."""
    found = [Memory(*_held(each)) for each in _tree(process)]
    return Memory(sum(each.own for each in found), sum(each.mapped for each in found))


def _tree(process: int) -> list[int]:
    children = Path(f"/proc/{process}/task").glob("*/children")
    below = [int(child) for path in children for child in _text(path).split()]
    return [process, *(each for child in below for each in _tree(child))]


def _held(process: int) -> tuple[float, float]:
    """Proportional shares: a page that a fork shares with n others counts 1/n for each."""
    lines = _text(Path(f"/proc/{process}/smaps_rollup")).splitlines()[1:]
    sizes = {name: int(rest[0]) / 1024 for name, *rest in map(str.split, lines)}
    return sizes.get("Pss_Anon:", 0.0), sizes.get("Pss_File:", 0.0) + sizes.get("Pss_Shmem:", 0.0)


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
