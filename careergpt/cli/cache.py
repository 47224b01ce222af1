"""The verb cache: what prepared tables take of the disk, and the oldest out by a limit."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from careergpt.cli.parsing import OneLineParser
from careergpt.data.cache import bytes_of, clean_cache
from careergpt.data.prepare import CACHE


def run(options: Sequence[str]) -> None:
    """Parses and runs `cache`."""
    parser = OneLineParser(verb="cache")
    parser.add_options({
        "data.cache": (CACHE, "The folder of them."),
        "limit": (None, "What may stay, as 10GB: the files whose last use is longest ago go."),
    })  # fmt: skip
    config = parser.parse_args(list(options))
    limit = None if config.limit is None else bytes_of(config.limit)
    for line in clean_cache(Path(config.data.cache), limit):
        print(line)
