"""The verb tables on the command line: a taxonomy's download in, a table of its occupations out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from careergpt.cli.parsing import OneLineParser
from careergpt.data.taxonomies import TAXONOMIES, convert_taxonomy


def run(args: Sequence[str]) -> None:
    """Parses and runs `tables`."""
    parser = OneLineParser(verb="tables")
    kinds = Literal[tuple(TAXONOMIES)]  # type: ignore[valid-type]
    parser.add_argument("taxonomy", type=kinds, help="Whose files they are.")
    parser.add_argument("folder", type=str, help="The folder or .zip of its files.")
    parser.add_argument("--out", type=str, required=True, help="The table to write, FILE.jsonl.")
    config = parser.parse_args(list(args))
    print(convert_taxonomy(config.taxonomy, config.folder, config.out))
