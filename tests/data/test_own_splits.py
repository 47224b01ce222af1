"""Laws of a user's own splits: they are seen and told of, and used where that is asked for."""

from collections.abc import Callable
from pathlib import Path

import datasets
import pytest

from careergpt.data.datamodule import CareerDataModule
from careergpt.data.splits import NO_SPLIT, TEST, TRAIN, VAL, split_named
from careergpt.errors import InputError

WORDS = "amber brook cedar dune ember frost grove heath inlet jetty knoll ledge marsh".split()


def posting(number: int, **more: str) -> dict[str, str]:
    words = " ".join(WORDS[(number * k) % 13] + str(number * k) for k in range(1, 40))
    return {"position_title": f"Worker {number % 5}", "job_description": f"Knows {words}."} | more


def rows(start: int, count: int, **more: str) -> list[dict[str, str]]:
    return [posting(number, **more) for number in range(start, start + count)]


@pytest.fixture
def own(write_table: Callable, tmp_path: Path) -> str:
    """A folder with 20 rows to train, 5 to validate and 8 to test on."""
    for name, start, count in [("train-00", 0, 20), ("validation", 20, 5), ("jobs_test", 25, 8)]:
        write_table(rows(start, count), f"{name}.jsonl")
    return str(tmp_path)


def split_of(data: CareerDataModule) -> dict[str, int]:
    return data.report().splits


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("train", TRAIN), ("train-00000-of-00001", TRAIN), ("jobs_train.jsonl", TRAIN),
        ("Training", TRAIN), ("validation", VAL), ("val", VAL), ("valid", VAL), ("dev", VAL),
        ("eval", VAL),
        ("TEST", TEST), ("owner/jobs:test", TEST), ("jobs.test.2024", TEST), ("testing", TEST),
        ("jobs", NO_SPLIT), ("trainee_jobs", NO_SPLIT), ("train_test", NO_SPLIT), ("", NO_SPLIT),
        ("latest", NO_SPLIT), ("devops", NO_SPLIT),
    ],
)  # fmt: skip
def test_a_split_is_named_by_one_whole_word(name: str, split: int) -> None:
    assert split_named(name) == split


def test_own_splits_are_told_of_and_split_anew_unless_asked_for(own, data_module) -> None:
    (warning,) = data_module(source=own).report().warnings
    assert "(train 20, val 5, test 8)" in warning
    assert "--data.splits own" in warning
    report = data_module(source=own, splits="own").report()
    assert (report.splits, report.warnings) == ({"train": 20, "val": 5, "test": 8}, [])


@pytest.mark.parametrize("column", ["split", "Set"])
def test_a_column_names_the_splits(column, write_table, data_module) -> None:
    named = {"train": 12, "Validation": 3, "test": 4}
    starts = dict(zip(named, (0, 12, 15), strict=True))
    table = [row for name, n in named.items() for row in rows(starts[name], n, **{column: name})]
    asked = {"source": write_table(table), "columns": {"split": column}, "splits": "own"}
    assert split_of(data_module(**asked)) == {"train": 12, "val": 3, "test": 4}
    assert "split" not in data_module(**asked).rules.fields


@pytest.mark.parametrize("column", ["Split", "subset", "partition", "set"])
def test_the_usual_columns_of_splits_are_seen(column, write_table, data_module) -> None:
    table = write_table([*rows(0, 9, **{column: "train"}), *rows(9, 4, **{column: "dev"})])
    (warning,) = data_module(source=table).report().warnings
    assert "(train 9, val 4)" in warning
    split = split_of(data_module(source=table, splits="own", test_fraction=0.0))
    assert split == {"train": 9, "val": 4, "test": 0}


def test_the_splits_of_a_data_set_on_the_hub_are_its_own(data_module, monkeypatch) -> None:
    loaded = datasets.DatasetDict(
        {
            name: datasets.Dataset.from_list(rows(start, count))
            for name, start, count in [("train", 0, 9), ("validation", 9, 3), ("test", 12, 4)]
        }
    )
    monkeypatch.setattr(datasets, "load_dataset", {"owner/jobs": loaded}.__getitem__)
    data = data_module(source="owner/jobs", splits="own")
    assert split_of(data) == {"train": 9, "val": 3, "test": 4}


def test_a_split_that_the_tables_lack_is_drawn_from_train_alone(write_table, data_module) -> None:
    paths = [write_table(rows(0, 60), "train.csv"), write_table(rows(60, 9), "test.csv")]
    split = split_of(data_module(source=paths, splits="own"))
    assert split["test"] == 9
    assert split["val"] > 0
    assert split["train"] + split["val"] == 60


def test_a_record_without_a_split_is_named(own, write_table, data_module) -> None:
    write_table(rows(50, 3), "more.jsonl")
    with pytest.raises(InputError, match=r"more\.jsonl:1: .* 3 records .*--data\.columns\.split"):
        data_module(source=own, splits="own").report()


def test_rows_of_two_own_splits_stay_and_are_told_as_leaks(write_table, data_module) -> None:
    near = posting(3)
    near["job_description"] = near["job_description"].replace("Knows", "Surely knows")
    paths = [
        write_table([*rows(0, 20), posting(0)], "train.csv"),
        write_table([*rows(20, 5), posting(1), near], "test.csv"),
    ]
    report = data_module(source=paths, splits="own", val_fraction=0.0).report()
    assert report.splits == {"train": 20, "val": 0, "test": 7}
    assert report.dropped == {"exact duplicate": 1}  # Within one split, it is none of two.
    assert report.leaks_across_splits == 4
    assert "4 records are in another split too, or nearly" in report.warnings[0]
    assert "each group within one split" not in str(report)
    anew = data_module(source=paths).report()
    assert (anew.dropped, anew.leaks_across_splits) == ({"exact duplicate": 2}, 0)


def test_own_splits_train_and_test_on_what_they_name(own, data_module) -> None:
    data = data_module(source=own, splits="own")
    data.setup("fit")
    data.setup("test")
    for split, name in [(TRAIN, "train-00"), (VAL, "validation"), (TEST, "jobs_test")]:
        found = data.dataset.places_of(data.dataset.members(split).tolist())
        assert {name in one["place"] for one in found} == {True}
