"""Laws of the token file: what was written is read, wherever its batches end."""

import pickle

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from careergpt.data.prepare import rows_of
from careergpt.data.splits import TRAIN
from careergpt.data.whole_files import read_arrow, write_arrow, write_json

IDS = st.lists(st.integers(0, 2**31 - 1), max_size=6)


@given(st.lists(st.tuples(IDS, st.integers(0, 3)), min_size=1, max_size=20), st.integers(1, 7))
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_every_example_is_read_as_written_over_any_batches(store_of, examples, batch) -> None:
    written = [
        {"token_ids": ids, "items": list(range(2 * items)), "task": items, "n_prompt": len(ids)}
        for ids, items in examples
    ]
    store = store_of(written, batch)
    assert len(store) == len(written)
    for place, row in enumerate(written):
        assert store.token_ids(place).tolist() == row["token_ids"]
        assert store.items(place).ravel().tolist() == row["items"]
        assert store.items(place).shape == (len(row["items"]) // 2, 2)
    assert store.length.tolist() == [len(row["token_ids"]) for row in written]
    assert store.task.tolist() == [row["task"] for row in written]
    assert store.n_prompt.tolist() == [row["n_prompt"] for row in written]


def test_a_pickled_store_reads_the_same_file_and_carries_none_of_it(store_of) -> None:
    store = store_of([{"token_ids": [number] * 50} for number in range(200)], 30)
    carried = pickle.dumps(store)
    again = pickle.loads(carried)
    assert len(carried) < 1000
    assert all((again.token_ids(i) == store.token_ids(i)).all() for i in range(200))


def test_token_ids_are_views_of_the_file(store_of) -> None:
    store = store_of([{"token_ids": [1, 2, 3]}])
    assert not store.token_ids(0).flags.owndata
    assert store.token_ids(0).dtype == np.int32


SCHEMA = pa.schema({"a": pa.int64(), "b": pa.list_(pa.string())})


def test_rows_come_back_in_order(tmp_path) -> None:
    path = tmp_path / "new" / "rows.arrow"
    write_arrow(path, SCHEMA, [{"a": [1, 2], "b": [["x"], None]}, {"a": [3], "b": [[]]}])
    rows = list(rows_of(read_arrow(path)))
    assert rows == [{"a": 1, "b": ["x"]}, {"a": 2, "b": None}, {"a": 3, "b": []}]


def test_a_file_that_was_not_finished_does_not_exist(tmp_path) -> None:
    def batches():
        yield {"a": [1], "b": [None]}
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_arrow(tmp_path / "rows.arrow", SCHEMA, batches())
    assert list(tmp_path.iterdir()) == []


def test_an_unfinished_rebuild_leaves_the_old_file(tmp_path) -> None:
    path = tmp_path / "rows.arrow"
    write_arrow(path, SCHEMA, [{"a": [1], "b": [None]}])
    with pytest.raises(pa.ArrowInvalid):
        write_arrow(path, SCHEMA, [{"a": ["no number"], "b": [None]}])
    assert read_arrow(path)["a"].to_pylist() == [1]


def test_json_is_written_whole_and_readable(tmp_path) -> None:
    write_json(tmp_path / "new" / "a.json", {"größe": 1})
    assert "größe" in (tmp_path / "new" / "a.json").read_text(encoding="utf-8")
    assert len(list((tmp_path / "new").iterdir())) == 1


def test_a_column_may_hold_more_text_than_an_array_of_arrow_can(data_module) -> None:
    data = data_module().open()
    row, text = data.table.slice(0, 1), "y" * (16 << 20)
    place = row.column_names.index("job_description")
    # The same part again and again takes memory once: 2.2 GiB.
    data.table = pa.concat_tables([row.set_column(place, row.schema.field(place), [[text]])] * 140)
    with pytest.raises(pa.ArrowInvalid, match="overflow"):
        data.table["job_description"].take([0])
    data.split = np.full(140, TRAIN)
    assert data.fields(TRAIN, ["job_description"]) == [{"job_description": text}]
