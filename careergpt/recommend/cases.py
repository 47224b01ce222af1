"""Unseen records as questions whose answers are known."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from careergpt.data.names import title_key
from careergpt.data.tasks import Field, Fields, Task, fields_of, missing_from
from careergpt.recommend.cloze import RANKED


class RankingCase(NamedTuple):
    """What is known of a record, and what is to be found.

    Attributes:
        known: Fields that the question shows; of a career all titles but the last.
        targets: The title, or the skills.
        current: The title held before the target; None where there is no career.
    """

    known: Fields
    targets: tuple[str, ...]
    current: str | None

    @property
    def changes(self) -> bool:
        """Whether the career goes on under another title."""
        return self.current is not None and title_key(self.current) != title_key(self.targets[0])


def ranked_tasks(tasks: Mapping[str, Task]) -> dict[str, Task]:
    """The tasks that are answered by a ranking, of those that weigh something."""
    return {name: tasks[name] for name in RANKED if name in tasks and tasks[name].weight > 0}


def names_in(tasks: Mapping[str, Task]) -> tuple[str, ...]:
    """The fields that rankings are made of: those of their tasks, descriptions not among them."""
    asked = (field for task in ranked_tasks(tasks).values() for field in fields_of(task))
    return tuple(dict.fromkeys((*RANKED.values(), *asked)))


def cases_of(name: str, task: Task, records: Iterable[Fields]) -> Iterator[RankingCase]:
    """The records that have what the task asks and answers; of a career its last move."""
    field = RANKED[name]
    for record in records:
        value = record.get(field, ())
        targets = (value,) if isinstance(value, str) else value
        # Of one title alone there is no move, though a template may ask for no more.
        if len(targets) < (2 if name == "path" else 1) or missing_from(task, record):
            continue
        asked = (f for f in fields_of(task) if f != field and f in record)
        known: dict[str, Field] = {f: record[f] for f in asked}
        if name == "path":
            known[field] = targets[:-1]
            yield RankingCase(known, targets[-1:], targets[-2])
        else:
            yield RankingCase(known, targets, None)
