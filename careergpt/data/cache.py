"""The cache of prepared tables: what lies in it, and how its oldest files go."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from careergpt.data.prepare import counts_of
from careergpt.data.whole_files import read_arrow, remove_left_over, remove_unless_held
from careergpt.errors import InputError, printable

_ENTRY = re.compile(r"(records|tokens)-[0-9a-f]{16}\.arrow")
_SIZE = re.compile(r"(\d{1,15}(?:\.\d+)?) ?([kmgt]?)(i?)b", re.IGNORECASE)


def bytes_of(size: str) -> int:
    """How many bytes a text such as 10GB or 512 MiB means.

    Raises:
        InputError: It is no size; 10 alone might mean anything, and would empty the cache.
    """
    found = _SIZE.fullmatch(size.strip())
    if found is None:
        raise InputError(f"--limit {size}: give a size with its unit, as 10GB or 500MB")
    number, unit, binary = found.groups()
    power = " kmgt".index(unit.lower() or " ")
    return int(float(number) * (1024 if binary else 1000) ** power)


def clean_cache(cache: Path, limit: int | None = None) -> Iterator[str]:
    """Lines on each file, the one first that was not used for longest, and on what was removed.

    Args:
        cache: The folder of prepared tables.
        limit: Bytes. The oldest are removed until the others fit; what a process uses stays.

    Raises:
        InputError: There is no such folder.
    """
    if not cache.is_dir():
        raise InputError(f"--data.cache {cache}: there is no such folder; nothing is cached there")
    remove_left_over(cache)
    files = sorted(_files(cache))
    left = sum(size for _, _, size in files)
    for used, path, size in files:
        done = ""
        told = f"{path.name}  {size / 1e6:>10,.1f} MB, used {_ago(used)}: {_content(path)}"
        if limit is not None and left > limit:
            done = "; kept: in use, not yours, or on a file system without locks"
            if remove_unless_held(path):
                left, done = left - size, "; removed"
        yield printable(told + done)
    yield f"{left / 1e6:,.1f} MB are in {cache}"


def _files(cache: Path) -> Iterator[tuple[float, Path, int]]:
    """Each with its size, and when it was made or read, as far as its file system notes that."""
    for path in cache.iterdir():
        if _ENTRY.fullmatch(path.name):
            with suppress(FileNotFoundError):  # Another process has just removed it.
                found = path.stat()
                yield max(found.st_atime, found.st_mtime), path, found.st_size


def _content(path: Path) -> str:
    """What the file holds; to be looked at here counts as no use of it."""
    try:
        before = path.stat()
    except FileNotFoundError:
        return "gone"
    try:
        table = read_arrow(path)
        if path.name.startswith("tokens"):
            return f"{len(table):,} examples as tokens"
        names = [Path(one["name"]).name for one in counts_of(table)["tables"]]
        return f"{len(table):,} records of {', '.join(names)}"
    except Exception:  # Whatever Arrow says of it.
        return "damaged"
    finally:
        with suppress(OSError):
            os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def _ago(moment: float) -> str:
    hours = max(time.time() - moment, 0) / 3600
    return f"{hours / 24:,.0f} days ago" if hours >= 48 else f"{hours:.0f} hours ago"
