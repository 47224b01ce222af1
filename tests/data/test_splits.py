"""Laws of splits: a group is in one split, and neither new rows nor settings move an old one."""

import json
import random
from typing import Any

import numpy as np
import pytest

from careergpt.data.splits import TEST, TRAIN, VAL, check_fractions, hash_of, split_by_hash
from careergpt.data.tasks import DEFAULT_TASKS, Task
from careergpt.errors import InputError


def posting(seed: int, **other: str) -> dict[str, str]:
    chance = random.Random(seed)
    words = ["".join(chance.choices("abcdefghij", k=5)) for _ in range(200)]
    text = " ".join(words).capitalize() + "."
    return {"position_title": "Nurse", "job_description": text, "skills": "triage; art"} | other


def career(seed: int) -> dict[str, list[str]]:
    chance = random.Random(seed)
    return {"titles": ["".join(chance.choices("abcdefghij", k=5)).title() for _ in range(3)]}


def edited(row: dict[str, str], place: int) -> dict[str, str]:
    words = row["job_description"].split()
    words[place] = "edited"
    return {**row, "job_description": " ".join(words)}


def test_the_number_of_a_key_is_fixed_and_uniform() -> None:
    hashes = np.array([hash_of(str(key)) for key in range(4000)])
    assert ((hashes >= 0) & (hashes < 1)).all()
    assert abs(np.histogram(hashes, 10, (0, 1))[0] - 400).max() < 5 * 400**0.5
    assert hash_of("a record") == 0.6494776103360032  # The same on every machine.


def test_val_lies_below_test_and_train_above_both() -> None:
    hashes = np.array([0.0, 0.0999, 0.1, 0.2999, 0.3001, 0.999])
    assert split_by_hash(hashes, 0.1, 0.2).tolist() == [VAL, VAL, TEST, TEST, TRAIN, TRAIN]
    assert split_by_hash(hashes, 0.0, 0.0).tolist() == [TRAIN] * 6


def test_another_test_fraction_moves_no_record_into_or_out_of_val() -> None:
    hashes = np.random.default_rng(0).random(500)
    few, many = split_by_hash(hashes, 0.1, 0.1), split_by_hash(hashes, 0.1, 0.4)
    assert ((few == VAL) == (many == VAL)).all()
    assert (many[few == TEST] == TEST).all()


@pytest.mark.parametrize(("val", "test"), [(-0.1, 0.1), (0.1, -0.1), (0.5, 0.5), (1.0, 0.0)])
def test_fractions_that_leave_nothing_to_train_on_are_refused(val: float, test: float) -> None:
    with pytest.raises(InputError, match=f"sum to less than 1, found {val} and {test}"):
        check_fractions(val, test)


def test_a_text_and_its_edits_share_a_split(write_table, prepare) -> None:
    rows = [posting(seed) for seed in range(8)]
    chance = random.Random(0)
    rows += [edited(row, chance.randrange(200)) for row in rows for _ in range(2)]
    rows += [{**row, "position_title": "Other title"} for row in rows[:8]]
    chance.shuffle(rows)
    found = prepare(write_table(rows))
    assert found.counts["kept"] == 32
    assert found.counts["near_duplicates"]["groups"] == 8
    assert found.counts["near_duplicates"]["records"] == 32
    assert len({row["hash"] for row in found.rows}) == 8
    for number in {row["group"] for row in found.rows}:
        assert len({row["hash"] for row in found.rows if row["group"] == number}) == 1


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("place", ["before", "after", "other file", "other file before"])
def test_new_rows_that_resemble_no_old_row_move_nothing(
    write_table, prepare, seed: int, place: str
) -> None:
    old = [posting(seed * 100 + row) for row in range(6)]
    old += [edited(old[0], 3), edited(old[1], 5)]
    new = [posting(seed * 100 + 50 + row) for row in range(5)]
    new.append(edited(new[0], 7))
    before = prepare(write_table(old, "old.csv")).hashes("job_description")
    if place == "before":
        after = prepare(write_table([*new, *old], "both.csv"))
    elif place == "after":
        after = prepare(write_table([*old, *new], "both.csv"))
    else:
        files = [write_table(old, "old.csv"), write_table(new, "new.csv")]
        after = prepare(*(reversed(files) if "before" in place else files))
    moved = after.hashes("job_description")
    assert len(moved) == len(old) + len(new)
    assert before.items() <= moved.items()


def test_the_order_of_rows_moves_nothing(write_table, prepare) -> None:
    rows = [posting(seed) for seed in range(4)]
    rows += [edited(row, 20 * place) for row in rows for place in range(1, 4)]
    forth, back = (
        prepare(write_table(table, f"{len(table)}{name}.csv")).hashes("job_description")
        for name, table in (("forth", rows), ("back", rows[::-1]))
    )
    assert forth == back


def test_new_careers_move_no_old_career(write_table, prepare) -> None:
    old, new = [career(seed) for seed in range(10)], [career(seed) for seed in range(10, 15)]
    before = prepare(write_table(old, "old.jsonl")).hashes("titles")
    after = prepare(write_table([*new, *old], "both.jsonl")).hashes("titles")
    assert before.items() <= after.items()
    assert len(after) == 15


TASKS = {
    "other words": {
        name: Task(f"Say: {task.prompt}", task.completion) for name, task in DEFAULT_TASKS.items()
    },
    "other weights": {
        name: Task(task.prompt, task.completion, 0.25) for name, task in DEFAULT_TASKS.items()
    },
    "one more field": {
        **DEFAULT_TASKS,
        "more": Task("{position_title} in {place}?", "{job_description}"),
        "moves": Task("{titles[0]} in {place}?", "{titles[1:]}"),
    },
    "no descriptions": {name: DEFAULT_TASKS[name] for name in ("position", "skills", "path")},
    "descriptions alone": {"describe": DEFAULT_TASKS["describe"], "path": DEFAULT_TASKS["path"]},
}


@pytest.mark.parametrize("other", list(TASKS))
def test_the_split_depends_on_no_template_and_no_weight(write_table, prepare, other: str) -> None:
    postings = [posting(seed, place=f"Town {seed}") for seed in range(10)]
    careers = [{**career(seed), "place": f"Town {seed}"} for seed in range(10)]
    tables = write_table(postings), write_table(careers, "careers.jsonl")
    usual, changed = prepare(*tables), prepare(*tables, tasks=TASKS[other])
    assert [row["hash"] for row in usual.rows] == [row["hash"] for row in changed.rows]


def listed(seed: int) -> dict[str, Any]:
    names = random.Random(seed).choices("abcdefghij", k=180)
    return {"position_title": f"Title {seed}", "skills": ["".join(names[n::30]) for n in range(30)]}


def test_lists_that_are_alike_share_a_split_and_each_counts(write_table, data_module) -> None:
    rows = [listed(seed) for seed in range(40)]
    for row in rows[:]:
        rows.append({"position_title": "Other", "skills": [s.upper() for s in row["skills"][::-1]]})
        rows.append({"position_title": "Third", "skills": [*row["skills"], "one more"]})
    data = data_module(source=write_table(rows, "skills.jsonl"), columns={}).open()
    of_list: dict[frozenset[str], set[int]] = {}
    for row, split in zip(data.table.to_pylist(), data.split.tolist(), strict=True):
        key = frozenset(skill.casefold() for skill in row["skills"]) - {"one more"}
        of_list.setdefault(key, set()).add(split)
    assert len(of_list) == 40
    assert {len(splits) for splits in of_list.values()} == {1}
    assert sum(len(data.fields(split, ["skills"])) for split in range(3)) == 120


def test_a_long_career_is_one_persons(write_table, prepare) -> None:
    longer = [
        [f"Officer {title} of {seed}" for title in "ABCDEFGHIJKLMNOPQRSTUVWXY"] for seed in range(5)
    ]
    rows = [{"titles": titles} for titles in longer]
    rows += [{"titles": [*titles, "Chief"]} for titles in longer] + rows[:2]
    found = prepare(write_table(rows, "careers.jsonl"))
    assert found.counts["kept"] == len({row["id"] for row in found.rows}) == 12
    assert len({row["hash"] for row in found.rows}) == 5


def test_near_duplicate_lists_leave_the_splits_their_shares(write_table, data_module) -> None:
    chance = random.Random(0)
    rows = [listed(chance.randrange(600)) | {"position_title": f"T {n}"} for n in range(1500)]
    split = data_module(source=write_table(rows, "skills.jsonl"), columns={}).open().split
    shares = np.bincount(split, minlength=3) / len(split)
    assert shares == pytest.approx([0.6, 0.2, 0.2], abs=0.06)


def test_equal_careers_of_few_titles_are_different_people(write_table, prepare) -> None:
    found = prepare(write_table([career(0), career(1), career(0), career(0)], "careers.jsonl"))
    assert found.counts["kept"] == 4
    assert len({row["id"] for row in found.rows}) == 4
    assert len({row["hash"] for row in found.rows}) == 4
    assert len({row["group"] for row in found.rows}) == 4


def test_the_first_of_equal_postings_stays(write_table, prepare) -> None:
    rows = [posting(0), posting(1), posting(0, skills="other skills"), posting(0)]
    shouted = posting(1)
    shouted["job_description"] = shouted["job_description"].upper()
    found = prepare(write_table([*rows, shouted]))
    assert found.counts["dropped"] == {"exact duplicate": 3}
    assert [row["skills"] for row in found.rows] == [["triage", "art"]] * 2
    assert json.dumps(found.counts)
