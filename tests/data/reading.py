"""What tests read of a table."""

from collections.abc import Callable, Mapping

from careergpt.data.objects import Cell, Table
from careergpt.data.tables import open_tables

Write = Callable[[str, str | bytes], str]


def only(source: str) -> Table:
    """The only table of the source."""
    (table,) = open_tables(source)
    return table


def cells(source: str) -> list[Mapping[str, Cell]]:
    """The cells of the rows that could be read."""
    return [row.cells for row in only(source).rows() if not row.fault]


def faults(source: str) -> dict[int, str]:
    """Why rows could not be read, by their lines."""
    bad = [row for row in only(source).rows() if row.fault]
    assert not any(row.cells for row in bad)
    return {int(row.place.rpartition(":")[2]): row.fault for row in bad}
