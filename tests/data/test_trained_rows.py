"""What any stage of a model trained on is left out of what is called unseen, and said."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from careergpt.data.datamodule import CareerDataModule
from careergpt.data.splits import (
    TEST,
    TRAIN,
    TRAINED_ROWS,
    VAL,
    numbers_of,
    read_trained_rows,
    write_trained_rows,
)
from careergpt.data.tasks import Task
from careergpt.errors import InputError

Data = Callable[..., CareerDataModule]


def ready(data: CareerDataModule, stage: str = "test") -> CareerDataModule:
    data.prepare_data()
    data.setup(stage)
    return data


def ids(data: CareerDataModule, split: int) -> set[str]:
    chosen = np.flatnonzero(data.dataset.in_split(split))
    return set(data.dataset.table["id"].take(chosen).to_pylist())


@pytest.fixture
def first(data_module: Data, tmp_path: Path) -> CareerDataModule:
    """The first stage, whose model folder says what it was trained on."""
    data = ready(data_module(val_fraction=0.1, test_fraction=0.1))
    write_trained_rows(tmp_path / "first", data.dataset.trained_rows())
    return data


@pytest.mark.parametrize(
    ("split", "stage", "val", "test"), [(VAL, "validate", 0.3, 0.1), (TEST, "test", 0.1, 0.3)]
)
def test_what_an_earlier_stage_trained_on_is_neither_validated_nor_tested_on(
    first: CareerDataModule,
    data_module: Data,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    split: int,
    stage: str,
    val: float,
    test: float,
) -> None:
    asked = {"val_fraction": val, "test_fraction": test}
    blind = ready(data_module(**asked), stage)
    capsys.readouterr()
    models = [str(tmp_path / "first")]
    data = ready(data_module(**asked, models=models), stage)
    lost = {of: ids(blind, of) & ids(first, TRAIN) for of in (VAL, TEST)}
    assert len(lost[split]) > 5
    assert ids(data, split) == ids(blind, split) - lost[split]
    assert ids(data, TRAIN) == ids(blind, TRAIN)
    told = [f"{len(lost[of])} of the {len(ids(blind, of))} rows to" for of in (VAL, TEST)]
    said = f"trained on {told[0]} validate on and {told[1].replace(' rows', '')} test on: left out"
    assert said in capsys.readouterr().out
    kept = ready(data_module(**asked, models=models, include_trained=True), stage)
    assert ids(kept, split) == ids(blind, split)
    assert "kept, as asked" in capsys.readouterr().out


def test_the_chain_holds_every_stage(
    first: CareerDataModule, data_module: Data, tmp_path: Path
) -> None:
    models = [str(tmp_path / "first")]
    second = ready(data_module(val_fraction=0.05, test_fraction=0.05, models=models))
    write_trained_rows(tmp_path / "second", second.dataset.trained_rows())
    third = ready(data_module(splits="all", models=[str(tmp_path / "second")]))
    every = set(third.dataset.table["id"].to_pylist())
    assert ids(third, TEST) == every - ids(first, TRAIN) - ids(second, TRAIN)
    assert 0 < len(ids(third, TEST)) < len(every - ids(first, TRAIN))


def test_rows_are_known_again_in_another_table_and_among_others(
    first: CareerDataModule, data_module: Data, tables: Path, tmp_path: Path
) -> None:
    header, *rows = (tables / "postings.csv").read_text(encoding="utf-8").splitlines(True)
    new = rows[0].replace("We need a", "Nobody has ever read of this; wanted is a")
    other = tmp_path / "other.csv"
    other.write_text("".join([header, new, *reversed(rows)]), encoding="utf-8")
    data = ready(data_module(source=str(other), splits="all", models=[str(tmp_path / "first")]))
    trained = set(
        first.dataset.table.filter(first.dataset.split == TRAIN)["job_description"].to_pylist()
    )
    told = set(data.dataset.table["job_description"].to_pylist())
    unseen = set(
        data.dataset.table.filter(data.dataset.split == TEST)["job_description"].to_pylist()
    )
    assert unseen <= told - trained
    assert data.dataset.n_trained.sum() >= len(told & trained) > 20


def test_near_duplicates_of_what_was_trained_on_are_trained_on(
    data_module: Data, tmp_path: Path
) -> None:
    words = [f"word{n}" for n in range(60)]
    for name, text in (("one", words), ("two", [*words, "more"])):
        row = {"position_title": f"Title {name}", "job_description": " ".join(text)}
        (tmp_path / f"{name}.jsonl").write_text(json.dumps(row), encoding="utf-8")
    one = ready(data_module(source=str(tmp_path / "one.jsonl"), splits="all"))
    one.dataset.split[:] = TRAIN
    write_trained_rows(tmp_path / "model", one.dataset.trained_rows())
    both = [str(tmp_path / f"{name}.jsonl") for name in ("one", "two")]
    with pytest.raises(InputError, match="trained on every row of the test split"):
        ready(data_module(source=both, splits="all", models=[str(tmp_path / "model")]))


def test_a_text_that_was_trained_on_is_known_beside_columns_that_only_one_stage_reads(
    data_module: Data, tmp_path: Path
) -> None:
    rows = [
        {"question": f"What is {n}?", "answer": f"It is number {n}. " * 20, "topic": f"Topic {n}"}
        for n in range(40)
    ]
    table = tmp_path / "questions.jsonl"
    table.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    before, after = Task("{question}", "{answer}"), Task("{topic}: {question}", "{answer}")
    one = ready(data_module(source=str(table), tasks={"ask": before}, splits="all"))
    one.dataset.split[::2] = TRAIN
    write_trained_rows(tmp_path / "model", one.dataset.trained_rows())
    models = [str(tmp_path / "model")]
    two = ready(data_module(source=str(table), tasks={"ask": after}, splits="all", models=models))
    assert two.dataset.n_trained[TEST] == 20


def test_a_model_that_says_nothing_leaves_out_nothing_and_a_damaged_file_is_one_line(
    data_module: Data, tmp_path: Path
) -> None:
    data = ready(data_module(models=["openai-community/gpt2", str(tmp_path)]))
    assert not data.dataset.knows_training
    assert not data.dataset.n_trained.any()
    path = tmp_path / TRAINED_ROWS
    np.save(path, np.arange(3.0))
    endless = path.read_bytes().replace(b"(3,), }" + b" " * 13, b"(9000000000000,), }" + b" ")
    for damaged in (b"\x93NUMPY", b"", endless):
        path.write_bytes(damaged)
        with pytest.raises(InputError, match=r"trained_rows.npy cannot be read"):
            read_trained_rows([str(tmp_path)])
    path.unlink()
    os.mkfifo(path)  # Nobody will ever write to it.
    with pytest.raises(InputError, match=r"trained_rows.npy is a device, a pipe or a folder"):
        read_trained_rows([str(tmp_path)])


def test_a_row_s_numbers_do_not_depend_on_where_a_table_s_parts_end(
    first: CareerDataModule,
) -> None:
    table = first.dataset.table
    parts = pa.Table.from_batches(table.to_batches(max_chunksize=7))
    assert parts["key"].num_chunks > 9
    for found, expected in zip(numbers_of(parts), numbers_of(table), strict=True):
        assert found.tolist() == expected.tolist()
    assert len(numbers_of(table)[1]) > len(table)  # Some texts are long.
